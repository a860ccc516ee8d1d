"""The calibration and noise tables of one scene: which are used, and what the record says about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Polarisation
from drshym_pipeline.sar.bands import BandRole
from drshym_pipeline.sar.calibration import CalibrationTable, read_calibration
from drshym_pipeline.sar.noise import NoiseTable, noise_is_usable, noise_was_removed, read_noise
from drshym_pipeline.sar.product_tables import find_table

# What `SceneMeta.processing` says about thermal noise.
NoiseStep = Literal[
    "denoise:product-noise-table",
    "denoise:none:off",
    "denoise:none:no-table",
    "denoise:none:removed-by-processor",
    "denoise:none:table-not-usable",
]
SUBTRACTED: Final[NoiseStep] = "denoise:product-noise-table"


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


def _tables(roles: Sequence[BandRole], kind: Literal["calibration", "noise"], remedy: str) -> dict[Polarisation, Path]:
    found = {role.polarisation: path for role in roles if (path := find_table(role.path, kind)) is not None}
    if found and len(found) < len(roles):
        missing = next(role for role in roles if role.polarisation not in found)
        raise InputError(missing.path, f"has no {kind} table, while {next(iter(found))} has one", remedy)
    return found


def scene_tables(roles: Sequence[BandRole], shape: tuple[int, int], *, denoise: bool) -> SceneTables:
    """Find and read the tables of a scene in digital numbers.

    Args:
        roles: The bands of the scene.
        shape: Height and width of the image.
        denoise: Whether thermal noise is subtracted, if the product has the tables for it.

    Raises:
        InputError: A table exists and cannot be used, or only one of two polarisations has a table.
    """
    both = "Copy both tables beside the files, or none"
    calibration = {
        polarisation: (path, read_calibration(path, polarisation, shape))
        for polarisation, path in _tables(roles, "calibration", both).items()
    }
    if not denoise:
        return SceneTables(calibration, noise_step="denoise:none:off")
    annotations = [path for role in roles if (path := find_table(role.path, "annotation")) is not None]
    if any(map(noise_was_removed, annotations)):
        return SceneTables(calibration, noise_step="denoise:none:removed-by-processor")
    noise = {
        polarisation: (path, read_noise(path, polarisation, shape))
        for polarisation, path in _tables(roles, "noise", f"{both}, or give --no-denoise").items()
    }
    for polarisation, (path, table) in noise.items():
        used = calibration[polarisation][1] if polarisation in calibration else None
        level = table.equivalent_db(used, shape)
        if not noise_is_usable(level):
            note = (
                f"{path.name} gives a thermal noise of {level:.0f} dB, which the instrument cannot have: not subtracted"
            )
            return SceneTables(calibration, noise_step="denoise:none:table-not-usable", warnings=(note,))
    return SceneTables(calibration, noise, SUBTRACTED if noise else "denoise:none:no-table")
