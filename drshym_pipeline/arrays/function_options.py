"""The options of the Python functions: values of every type come in, values that the science can use go out.

The command and the settings have types that are checked when they are read; a caller in Python may give anything. All
options are checked before a model is loaded or a scene is opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from numbers import Real
from operator import index
from typing import Any, Final, get_args

import numpy as np

from drshym_pipeline.errors import InputError
from drshym_pipeline.map_threshold import check_threshold
from drshym_pipeline.records import PrecisionOption, TerrainLimits, Units, check_min_area
from drshym_pipeline.tiling import TileGrid

_TWO_BANDS: Final = 2


def checked_options(**given: Any) -> dict[str, Any]:
    """Return the options of a function as the science takes them.

    Args:
        given: The options by name, among them `tile` and `overlap`.

    Raises:
        InputError: One has a type or a value that cannot be used.
    """
    checked = {name: _CHECKS[name](name, value) for name, value in given.items()}
    TileGrid(1, 1, checked["tile"], checked["overlap"])
    return checked


def check_path(name: str, value: Any) -> None:
    """Raise an error for anything but a path.

    Raises:
        InputError: It is neither text nor a path.
    """
    if not isinstance(value, str | os.PathLike):
        raise _refused(name, value, "Give a path as text or as a Path")


def check_paths(name: str, value: Any) -> None:
    """Raise an error for anything but a path or several paths.

    Raises:
        InputError: It is something else, such as an array.
    """
    parts = value if isinstance(value, list | tuple) else [value]
    for part in parts:
        if not isinstance(part, str | os.PathLike):
            raise _refused(name, part, "Give a path, or the pair (vv, vh) of paths; `segment` maps arrays")


def check_model(value: Any) -> None:
    """Raise an error for anything but a model.

    Raises:
        InputError: It is neither a loaded model nor the path of one.
    """
    from drshym_pipeline.model.bundle import ModelBundle

    if value is not None and not isinstance(value, str | os.PathLike | ModelBundle):
        raise _refused("model", value, "Give what load_model returns, or the folder of a sealed model")


def _refused(name: str, value: Any, remedy: str) -> InputError:
    shown = repr(value)
    if len(shown) > 60 or "\n" in shown:  # an array prints its values
        shown = f"a value of the type {type(value).__name__}"
    return InputError(name, f"cannot be {shown}", remedy)


def _whole(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        return index(value)
    except TypeError:
        raise _refused(name, value, "Give a whole number") from None


def _positive_or_none(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if (number := _whole(name, value)) < 1:
        raise _refused(name, value, "Give a whole number from 1 on")
    return number


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise _refused(name, value, "Give True or False")
    return bool(value)


def _number(name: str, value: Any) -> float:
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        raise _refused(name, value, "Give a number")
    return float(value)


def _min_area(name: str, value: Any) -> float:
    try:
        return check_min_area(_number(name, value))
    except InputError as error:
        raise InputError(name, error.problem, error.remedy) from error


def _threshold(name: str, value: Any) -> float | None:
    return None if value is None else check_threshold(_number(name, value))


def _one_of(*known: str) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, str) or value not in known:
            raise _refused(name, value, f"Use {', '.join(known[:-1])} or {known[-1]}")
        return value

    return check


def _units(name: str, value: Any) -> Any:
    return None if value is None else _one_of(*get_args(Units))(name, value)


def _bands(name: str, value: Any) -> tuple[int, ...]:
    remedy = "Give one or two band numbers from 1 on, VV first: [1] or [1, 2]"
    if value is None:
        return ()
    if isinstance(value, str):  # as the command has it
        parts: list[Any] = [int(part) if part.strip().isdecimal() else part for part in value.split(",")]
    elif isinstance(value, list | tuple | np.ndarray):
        parts = list(value)
    else:
        raise _refused(name, value, remedy)
    try:
        numbers = tuple(_whole(name, part) for part in parts)
    except InputError:
        raise _refused(name, value, remedy) from None
    if len(numbers) > _TWO_BANDS or any(number < 1 for number in numbers):
        raise _refused(name, value, remedy)
    return numbers


def _acquired(name: str, value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    if not isinstance(moment, datetime):
        raise _refused(name, value, "Give a datetime, or a text such as 2020-01-31T17:05:00")
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _device(name: str, value: Any) -> str:
    if value in ("auto", "cpu"):
        return str(value)
    if not isinstance(value, str) or not re.fullmatch(r"cuda(:\d+)?", value):
        raise _refused(name, value, "Use auto, cpu or cuda")
    import torch

    if int(value.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise InputError(name, f"{value!r} is not there, or torch cannot use it", "Use auto or cpu")
    return value


def _limits(name: str, value: Any) -> TerrainLimits | None:
    if value is not None and not isinstance(value, TerrainLimits):
        raise _refused(name, value, "Give a drshym_pipeline.records.TerrainLimits, such as TerrainLimits(hand_m=20)")
    return value


def _place(name: str, value: Any) -> Any:
    if value is not None:
        check_path(name, value)
    return value


def _text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _refused(name, value, "Give a text")
    return value


def _function(name: str, value: Any) -> Any:
    if not callable(value):
        raise _refused(name, value, "Give a function of (stage, done, total), or leave it out")
    return value


_CHECKS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "acquired": _acquired,
    "ancillary": _place,
    "any_spacing": _flag,
    "bands": _bands,
    "batch_size": _positive_or_none,
    "denoise": _flag,
    "device": _device,
    "limits": _limits,
    "min_area_ha": _min_area,
    "overlap": _whole,
    "overwrite": _flag,
    "precision": _one_of(*get_args(PrecisionOption)),
    "progress": _function,
    "scene_id": _text,
    "threshold": _threshold,
    "tile": _whole,
    "units": _units,
}
