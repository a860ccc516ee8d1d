"""Map a scene that is a file or a labelled array (xarray), and return the map as a dataset.

The map is made by `mapping.map_scene` in a temporary folder, which is deleted at the end.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from drshym_pipeline.arrays.array_errors import errors_in_python, record_in_python
from drshym_pipeline.arrays.array_scene import ArrayScene, write_array
from drshym_pipeline.arrays.map_dataset import map_dataset
from drshym_pipeline.errors import InputError
from drshym_pipeline.mapping import KnownScene, map_scene
from drshym_pipeline.records import MapRecord
from drshym_pipeline.storage import scratch_directory

if TYPE_CHECKING:
    import xarray as xr

    from drshym_pipeline.model.choice import ChosenModel

PathLike: TypeAlias = "str | os.PathLike[str]"
Scene: TypeAlias = "PathLike | xr.DataArray | Sequence[PathLike | xr.DataArray]"


def segment_scene(
    scene: Scene,
    pre: Scene | None,
    model: ChosenModel,
    *,
    acquired: datetime | None,
    bands: Sequence[int],
    **options: Any,
) -> xr.Dataset:
    """Map a scene and return the map.

    Args:
        scene: The scene; see `api.segment`.
        pre: A scene from before the event; None without one.
        model: The model.
        acquired: When the scene was acquired, in UTC; as its name or the array says when None.
        bands: The numbers of the bands to read, VV first; found from their names when empty.
        options: More options of `mapping.map_scene`.

    Raises:
        InputError: The scene, the scene from before or an option cannot be used.
    """
    from drshym_pipeline.sar.safe_open import register_all_drivers

    given, before = _parts(scene), [] if pre is None else _parts(pre)
    register_all_drivers()
    with scratch_directory(Path(tempfile.gettempdir())) as work, ExitStack() as stack:
        written: list[ArrayScene] = []
        stack.enter_context(errors_in_python(written))
        sources, known = _sources(given, work / "scene", written, bands)
        pre_sources, pre_known = _sources(before, work / "pre", written)
        if acquired is not None:
            known = KnownScene(known.source_uris, acquired)
        record = map_scene(
            sources,
            work / "map",
            model.bundle,
            model.reference,
            pre=pre_sources,
            bands=bands,
            known=known,
            pre_known=pre_known,
            **options,
        )
        if written:
            record = record_in_python(record, written)
        return map_dataset(record, work / "map", _coordinates(given[0], record))


def _parts(scene: Scene) -> list[Any]:
    """Return the files or arrays of a scene.

    Raises:
        InputError: It is something else.
    """
    import xarray as xr

    if isinstance(scene, xr.Dataset):
        raise InputError(
            "Dataset",
            f"has the variables {', '.join(map(str, scene.data_vars)) or 'none'}, and a scene is one array",
            "Give one DataArray, such as dataset[['vv', 'vh']].to_array('band')",
        )
    parts = [scene] if isinstance(scene, str | os.PathLike | xr.DataArray) else scene
    if not isinstance(parts, list | tuple) or not all(
        isinstance(part, str | os.PathLike | xr.DataArray) for part in parts
    ):
        raise InputError(
            "scene",
            f"cannot be of the type {type(scene).__name__}",
            "Give a path, a DataArray, or a pair (vv, vh) of them",
        )
    return list(parts)


def _sources(
    parts: Sequence[Any], folder: Path, written: list[ArrayScene], bands: Sequence[int] = ()
) -> tuple[list[Path], KnownScene]:
    """Return the files of a scene, and what is known about those that were arrays; arrays are written."""
    import xarray as xr

    if not any(isinstance(part, xr.DataArray) for part in parts):
        return [Path(part) for part in parts], KnownScene()
    mixed = next((part for part in parts if not isinstance(part, xr.DataArray)), None)
    if mixed is not None:
        raise InputError(str(mixed), "is a path beside an array", "Give two paths or two arrays")
    found = []
    for number, array in enumerate(parts, 1):
        found.append(write_array(array, folder / str(number), bands=bands))
        written.append(found[-1])
    moments = [scene.acquired for scene in found if scene.acquired is not None]
    known = KnownScene(tuple(scene.label for scene in found), moments[0] if moments else None)
    return [scene.path for scene in found], known


def _coordinates(part: Any, record: MapRecord) -> Mapping[str, Any] | None:
    """Return the coordinates of an array that was mapped; None for a file."""
    import xarray as xr

    if not isinstance(part, xr.DataArray):
        return None
    y_dim, x_dim = part.dims[-2:]
    if (part.sizes[y_dim], part.sizes[x_dim]) != record.shape:
        return None
    return {"x": part.coords[x_dim].values, "y": part.coords[y_dim].values}
