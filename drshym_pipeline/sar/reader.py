"""Read a scene window by window as dB, in bounded memory.

`OpenScene` opens files about which nothing is known yet and finds which band is VV and which is VH; `SceneReader` reads
a scene that has been described.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import BandSource, SceneMeta
from drshym_pipeline.sar.bands import BandRole, assign_roles
from drshym_pipeline.sar.calibration import read_calibration
from drshym_pipeline.sar.completeness import check_blocks
from drshym_pipeline.sar.file_facts import FileFacts, file_facts
from drshym_pipeline.sar.georeference import Grid, find_grid
from drshym_pipeline.sar.grid_match import same_grid
from drshym_pipeline.sar.noise import read_noise
from drshym_pipeline.sar.raster_band import BandValues, RasterBand, SceneBands
from drshym_pipeline.sar.safe_open import check_location, open_scene_file, safe_env
from drshym_pipeline.sar.scene_groups import refuse_companion
from drshym_pipeline.sar.scene_tables import SceneTables, scene_tables
from drshym_pipeline.tiling import Window

_PIXELS_AT_ONCE = 1 << 20
_MAP_TAG = "DRSHYM_MODEL_SHA256"  # in both rasters of every map


def strips(height: int, width: int, block: tuple[int, int]) -> Iterator[Window]:
    """Yield windows that cover a raster once, in whole blocks, with about a million pixels each if the blocks allow it.

    Args:
        height: Rows of the raster.
        width: Columns of the raster.
        block: Rows and columns of a stored block.
    """
    rows, cols = min(block[0], height), min(block[1], width)
    if rows * width <= _PIXELS_AT_ONCE:
        tall, wide = max(1, _PIXELS_AT_ONCE // (rows * width)) * rows, width
    elif cols < width:
        tall, wide = rows, max(1, _PIXELS_AT_ONCE // (rows * cols)) * cols
    else:
        # One block is as wide as the raster: GDAL's cache keeps it while its rows are read.
        tall, wide = max(1, _PIXELS_AT_ONCE // width), width
    for row in range(0, height, tall):
        for col in range(0, width, wide):
            yield Window(row, col, min(tall, height - row), min(wide, width - col))


def check_sources(sources: Sequence[Path]) -> list[Path]:
    """Return the absolute paths of a scene's one or two files.

    Raises:
        InputError: There is no file, there are more than two, two are the same, or one is not a TIFF.
    """
    if not 1 <= len(sources) <= 2:
        raise InputError("scene", f"needs one or two files, got {len(sources)}", "Give VV, and VH if there is one")
    paths = [check_location(Path(source)) for source in sources]
    if len({path.resolve() for path in paths}) != len(paths):
        raise InputError(paths[0], "given twice", "Give one file per polarisation, or one file with both")
    return paths


def _refuse_maps(dataset: Any, path: Path) -> None:
    """Refuse the mask and the probability of a map that this program wrote: their values are not backscatter."""
    if _MAP_TAG in dataset.tags():
        raise InputError(path, "is a map that this program wrote, not a scene", "Give the scene that the map shows")


def _refuse_outside_mask(path: Path) -> None:
    """Refuse a file whose mask is in a second file: side files are never opened, and the mask would be lost."""
    mask = path.with_name(f"{path.name}.msk")
    if mask.exists():
        raise InputError(
            path,
            f"has its mask in a second file ({mask.name}), which is not read",
            "Write the mask into the file (gdal_translate --config GDAL_TIFF_INTERNAL_MASK YES)",
        )


class OpenScene:
    """The open files of a scene on one grid, with the role of each band.

    Args:
        paths: The files.
        stack: The exit stack that closes the files.
        chosen: The numbers of the bands to read, VV first; found by their names when empty.

    Raises:
        InputError: A file is missing, damaged, cut short, without VV or georeference, on another grid, a map of this
            program or a companion of a scene; its mask is in a second file; or a chosen band does not exist.
    """

    def __init__(self, paths: Sequence[Path], stack: ExitStack, chosen: Sequence[int] = ()) -> None:
        self.facts: list[FileFacts] = []
        grids: dict[Path, Grid] = {}
        self.tags: dict[str, str] = {}
        self.files: dict[Path, Any] = {}
        self.tables = SceneTables()
        for path in paths:  # one after the other, so that an error names the right file
            _refuse_outside_mask(path)
            self.files[path] = dataset = stack.enter_context(open_scene_file(path))
            _refuse_maps(dataset, path)
            refuse_companion(path)
            self.facts.append(file_facts(dataset, path, chosen if len(paths) == 1 else ()))
            grids[path] = find_grid(dataset, path)
            check_blocks(dataset, path)
            self.tags |= dataset.tags()
        self.roles, self.warnings = assign_roles(self.facts, chosen)
        self.grid: Grid = grids[self.roles[0].path]
        for path, grid in grids.items():
            if not same_grid(grid, self.grid):
                raise InputError(
                    path, f"not on the same grid as {self.roles[0].path.name}", "Give two polarisations of one product"
                )
        self.bands = SceneBands([self._band(role) for role in self.roles], (self.grid.height, self.grid.width))

    def _band(self, role: BandRole) -> RasterBand:
        return RasterBand(role.polarisation, self.files[role.path], role.path, role.band)

    def use_roles(self, roles: Sequence[BandRole]) -> None:
        """Read the bands as other polarisations than before; the first role must be VV."""
        self.roles = list(roles)
        self.bands.bands = [self._band(role) for role in roles]

    def facts_of(self, role: BandRole) -> FileFacts:
        """Return the facts of the file of a role."""
        return next(facts for facts in self.facts if facts.path == role.path)

    def windows(self) -> list[Window]:
        """Return windows that cover the scene, in the order of its rows."""
        return list(strips(self.grid.height, self.grid.width, self.files[self.roles[0].path].block_shapes[0]))

    def use_tables(self, *, denoise: bool) -> None:
        """Read the calibration and noise tables of digital numbers, if there are any.

        Args:
            denoise: Whether thermal noise is subtracted.

        Raises:
            InputError: A table exists and cannot be used, or only one of two polarisations has a table.
        """
        self.tables = scene_tables(self.roles, (self.grid.height, self.grid.width), self.grid.points, denoise=denoise)
        self.warnings.extend(self.tables.warnings)
        calibration, noise = self.tables.calibration, self.tables.noise
        self.bands.bands = [
            replace(
                band,
                table=calibration[band.polarisation][1] if band.polarisation in calibration else None,
                noise=noise[band.polarisation][1] if band.polarisation in noise else None,
            )
            for band in self.bands.bands
        ]

    def source_of(self, role: BandRole) -> BandSource:
        """Return the record of a band: its file and the tables that it is read with."""
        calibration, noise = (
            str(found[role.polarisation][0]) if role.polarisation in found else None
            for found in (self.tables.calibration, self.tables.noise)
        )
        return BandSource(
            polarisation=role.polarisation, path=str(role.path), band=role.band, calibration=calibration, noise=noise
        )


class WindowValues:
    """Iterates over windows and their values: pairs of a window and the result of `SceneBands.read`.

    Args:
        bands: The bands; no other code may read them at the same time.
        windows: The windows to read.
    """

    def __init__(self, bands: SceneBands, windows: Sequence[Window]) -> None:
        self._bands, self._windows = bands, windows

    def __iter__(self) -> Iterator[tuple[Window, list[BandValues]]]:
        # GDAL's environment is valid in one thread only, and this may be another thread than the one that opened files.
        with safe_env():
            for window in self._windows:
                yield window, self._bands.read(window)


class SceneReader:
    """Reads windows of a scene in dB.

    Threads may share a reader; only one of them reads at a time.

    Args:
        meta: The scene's description.
        directory: The folder that the paths of `meta.bands` start from; absolute paths are used as they are.
    """

    def __init__(self, meta: SceneMeta, directory: Path) -> None:
        self.meta = meta
        self.directory = directory
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._bands: SceneBands | None = None

    def __enter__(self) -> Self:
        meta = self.meta
        with ExitStack() as stack:
            datasets: dict[str, Any] = {}
            bands: list[RasterBand] = []
            for band in meta.bands:
                if band.path not in datasets:
                    path = self.directory / band.path
                    datasets[band.path] = stack.enter_context(open_scene_file(path))
                dataset = datasets[band.path]
                if (dataset.height, dataset.width) != meta.shape or band.band > dataset.count:
                    raise InputError(
                        self.directory / band.path, "not the file the scene was described from", "Stage the scene again"
                    )
                table = noise = None
                if band.calibration is not None:
                    table = read_calibration(self.directory / band.calibration, band.polarisation, meta.shape)
                if band.noise is not None:
                    noise = read_noise(self.directory / band.noise, band.polarisation, meta.shape)
                bands.append(
                    RasterBand(band.polarisation, dataset, self.directory / band.path, band.band, table, noise)
                )
            self._bands = SceneBands(bands, meta.shape, meta.units)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bands = None
        self._stack.close()

    def read(self, window: Window) -> NDArray[np.float32]:
        """Read the backscatter of a window inside the scene.

        Args:
            window: Rows and columns of the scene.

        Returns:
            (bands, height, width) float32 dB in the order VV[, VH]; NaN in every band where any band is not observed.

        Raises:
            InputError: The file cannot be read in this window.
            ValueError: The window is not inside the scene, or the reader is not open.
        """
        if self._bands is None:
            raise ValueError("the reader is not open; use it in a with block")
        if (
            window.row < 0
            or window.col < 0
            or window.rows.stop > self.meta.height
            or window.cols.stop > self.meta.width
        ):
            raise ValueError(f"{window} reaches past the scene of {self.meta.height} x {self.meta.width} pixels")
        with self._lock, safe_env():
            layers = self._bands.read(window)
        db = self._bands.decibels(layers, window)
        db[:, ~np.isfinite(db).all(axis=0)] = np.nan
        return db
