"""The files of a scene, open side by side: which band of which file is which, on one grid, window by window as dB.

What is made of the pixels while all of them are read is `description`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Polarisation, Units
from drshym_pipeline.sar.bands import BandRole, FileFacts, assign_roles, file_facts
from drshym_pipeline.sar.calibration import CalibrationTable, find_calibration, read_calibration
from drshym_pipeline.sar.completeness import check_blocks
from drshym_pipeline.sar.georeference import Grid, find_grid
from drshym_pipeline.sar.open import check_location, damaged, open_header, open_raster, safe_env
from drshym_pipeline.sar.reader import decibels, read_raw, strips
from drshym_pipeline.tiling import Window


def check_sources(sources: Sequence[Path]) -> list[Path]:
    """The absolute paths of a scene's one or two files.

    Raises:
        InputError: There are more or none, one comes twice, or is no TIFF.
    """
    if not 1 <= len(sources) <= 2:
        raise InputError("scene", f"needs one or two files, got {len(sources)}", "Give VV, and VH if there is one")
    paths = [check_location(Path(source)) for source in sources]
    if len({path.resolve() for path in paths}) != len(paths):
        raise InputError(paths[0], "given twice", "Give one file a polarisation, or one file with both")
    return paths


class OpenScene:
    """The open files of a scene on one grid, with the role of each band.

    Args:
        paths: The files.
        stack: Closes them.

    Raises:
        InputError: A file is missing, damaged, cut short, without VV or georeference, or of another grid.
    """

    def __init__(self, paths: Sequence[Path], stack: ExitStack) -> None:
        self.facts: list[FileFacts] = []
        grids: dict[Path, Grid] = {}
        self.tags: dict[str, str] = {}
        for path in paths:
            with open_header(path) as header:
                self.facts.append(file_facts(header, path))
                grids[path] = find_grid(header, path)
                check_blocks(header, path)
                self.tags |= header.tags()
        self.roles, self.warnings = assign_roles(self.facts)
        self.units: Units = "db"
        self.tables: dict[Polarisation, tuple[Path, CalibrationTable]] = {}
        self.grid: Grid = grids[self.roles[0].path]
        for path, grid in grids.items():
            if grid != self.grid:
                raise InputError(
                    path, f"not on the same grid as {self.roles[0].path.name}", "Give two polarisations of one product"
                )
        self.views = {path: stack.enter_context(open_raster(path)) for path in paths}

    def windows(self) -> list[Any]:
        """Windows that cover the scene, in the order of its rows."""
        return list(strips(self.grid.height, self.grid.width, self.views[self.roles[0].path].block_shapes[0]))

    def raw(self, window: Any) -> list[NDArray[Any]]:
        """Raw values of a window, one (h, w) array a role."""
        layers = []
        for role in self.roles:
            try:
                layers.append(read_raw(self.views[role.path], [role.band], window)[0])
            except (RasterioError, CPLE_BaseError) as error:
                raise damaged(role.path, error) from error
        return layers

    def nodata(self, role: BandRole) -> float | None:
        """The nodata value of the role's file on the grid."""
        value = self.views[role.path].nodata
        return None if value is None else float(value)

    def use_calibration(self) -> None:
        """Look for the calibration tables of digital numbers.

        Raises:
            InputError: A table is there and cannot be used.
        """
        for role in self.roles:
            path = find_calibration(role.path)
            if path is not None:
                shape = (self.grid.height, self.grid.width)
                self.tables[role.polarisation] = (path, read_calibration(path, role.polarisation, shape))
        if self.tables and len(self.tables) < len(self.roles):
            missing = next(role for role in self.roles if role.polarisation not in self.tables)
            raise InputError(
                missing.path,
                f"has no calibration table, while {next(iter(self.tables))} has one",
                "Put both tables beside the files, or none",
            )

    def decibels(self, layers: Sequence[NDArray[Any]], window: Window) -> NDArray[np.float32]:
        """Raw values of a window as (bands, h, w) float32 dB, NaN where a band is not observed."""
        bands = []
        for layer, role in zip(layers, self.roles, strict=True):
            found = self.tables.get(role.polarisation)
            offset = None if found is None else found[1].offset_db(window)
            bands.append(decibels(layer, self.nodata(role), self.units, offset))
        return np.stack(bands)

    def calibration_of(self, role: BandRole) -> str | None:
        """The path of the table a role is calibrated with."""
        found = self.tables.get(role.polarisation)
        return None if found is None else str(found[0])


class RawWindows:
    """The raw values of windows, one after the other: (window, what `OpenScene.raw` gives).

    Args:
        scene: Read by nobody else meanwhile.
        windows: Which.
    """

    def __init__(self, scene: OpenScene, windows: Sequence[Window]) -> None:
        self._scene, self._windows = scene, windows

    def __iter__(self) -> Iterator[tuple[Window, list[NDArray[Any]]]]:
        # GDAL's environment holds in one thread alone, and whoever iterates may be another than who opened the files.
        with safe_env():
            for window in self._windows:
                yield window, self._scene.raw(window)
