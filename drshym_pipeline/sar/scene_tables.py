"""The calibration and noise tables of one scene: which are used, and what the record says about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import ControlPoint, Polarisation
from drshym_pipeline.sar.bands import BandRole
from drshym_pipeline.sar.calibration import CalibrationTable, read_calibration
from drshym_pipeline.sar.noise import NoiseTable, noise_is_usable, noise_was_removed, read_noise
from drshym_pipeline.sar.product_tables import (
    OTHER_IMAGE_REMEDY,
    TableKind,
    VectorTable,
    check_annotated_size,
    find_table,
)

# What `SceneMeta.processing` says about thermal noise.
NoiseStep = Literal[
    "denoise:product-noise-table",
    "denoise:none:off",
    "denoise:none:no-table",
    "denoise:none:removed-by-processor",
    "denoise:none:table-not-usable",
]
SUBTRACTED: Final[NoiseStep] = "denoise:product-noise-table"
# Control points of a whole image begin in its first row and column. Those of a part are shifted.
_POINTS_BEFORE: Final = 0.01  # of the height or width; a smaller shift of the tables changes no value that matters
_POINTS_BEFORE_PIXELS: Final = 2.0


@dataclass(frozen=True)
class SceneTables:
    """The tables of a scene in digital numbers, by polarisation.

    Args:
        calibration: Calibration tables and their files; empty when there are none.
        noise: Noise tables and their files; empty when nothing is subtracted.
        noise_step: What was done about thermal noise.
        warnings: What the user must know.
    """

    calibration: dict[Polarisation, tuple[Path, CalibrationTable]] = field(default_factory=dict)
    noise: dict[Polarisation, tuple[Path, NoiseTable]] = field(default_factory=dict)
    noise_step: NoiseStep = "denoise:none:no-table"
    warnings: tuple[str, ...] = ()


def _found(roles: Sequence[BandRole], kind: TableKind) -> dict[Polarisation, Path]:
    return {role.polarisation: path for role in roles if (path := find_table(role.path, kind)) is not None}


def _check_all(roles: Sequence[BandRole], found: Collection[Polarisation], kind: TableKind, remedy: str) -> None:
    """Refuse tables of one of two polarisations: the two bands would be read in different ways."""
    if found and len(found) < len(roles):
        missing = next(role for role in roles if role.polarisation not in found)
        raise InputError(missing.path, f"has no {kind} table, while {next(iter(found))} has one", remedy)


def _check_sizes(
    annotations: Mapping[Polarisation, Path], found: Collection[Polarisation], shape: tuple[int, int]
) -> None:
    """Refuse the tables of a product whose annotation is of an image with another size."""
    for polarisation in found:
        if polarisation in annotations:
            check_annotated_size(annotations[polarisation], shape)


def _check_points(path: Path, table: VectorTable, points: Sequence[ControlPoint], shape: tuple[int, int]) -> None:
    """Refuse a table beside a part of an image whose control points begin before its first row or column.

    The end of the table does not show a part that is less than one step smaller. A table that ends exactly with the
    image was made for it.
    """
    if not points or table.ends_with(shape):
        return
    for name, first, size in (
        ("row", min(point.row for point in points), shape[0]),
        ("column", min(point.col for point in points), shape[1]),
    ):
        if first < -max(_POINTS_BEFORE * size, _POINTS_BEFORE_PIXELS):
            problem = f"is of a larger image: the control points of this one begin at {name} {first:.0f}"
            raise InputError(path, problem, OTHER_IMAGE_REMEDY)


def scene_tables(
    roles: Sequence[BandRole], shape: tuple[int, int], points: Sequence[ControlPoint] = (), *, denoise: bool
) -> SceneTables:
    """Find and read the tables of a scene in digital numbers.

    Args:
        roles: The bands of the scene.
        shape: Height and width of the image.
        points: The control points of the image.
        denoise: Whether thermal noise is subtracted, if the product has the tables for it.

    Raises:
        InputError: A table exists and cannot be used or is not of this image, or only one of two polarisations has a
            table.
    """
    both = "Copy both tables beside the files, or none"
    found = _found(roles, "calibration")
    _check_all(roles, found, "calibration", both)
    annotations = _found(roles, "annotation")
    _check_sizes(annotations, found, shape)
    calibration = {name: (path, read_calibration(path, name, shape)) for name, path in found.items()}
    for path, gains in calibration.values():
        _check_points(path, gains.constants, points, shape)
    if not denoise:
        return SceneTables(calibration, noise_step="denoise:none:off")
    found = _found(roles, "noise")
    # Without noise tables the annotation decides nothing, and an XML file of this name may be something else.
    if found and any(map(noise_was_removed, annotations.values())):
        return SceneTables(calibration, noise_step="denoise:none:removed-by-processor")
    _check_all(roles, found, "noise", f"{both}, or give --no-denoise")
    _check_sizes(annotations, found, shape)
    noise = {name: (path, read_noise(path, name, shape)) for name, path in found.items()}
    for path, levels in noise.values():
        _check_points(path, levels.in_range, points, shape)
    for polarisation, (path, table) in noise.items():
        used = calibration[polarisation][1] if polarisation in calibration else None
        level = table.equivalent_db(used, shape)
        if not noise_is_usable(level):
            note = (
                f"{path.name} gives a thermal noise of {level:.0f} dB, which the instrument cannot have: not subtracted"
            )
            return SceneTables(calibration, noise_step="denoise:none:table-not-usable", warnings=(note,))
    return SceneTables(calibration, noise, SUBTRACTED if noise else "denoise:none:no-table")
