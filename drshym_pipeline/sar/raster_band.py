"""The bands of a scene in open files: raw values, their scale, and which of them the file itself says are missing.

`reader` opens the files, `validity` has the rules, and this module applies them window by window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Polarisation, Units
from drshym_pipeline.sar.calibration import CalibrationTable
from drshym_pipeline.sar.noise import NoiseTable
from drshym_pipeline.sar.radiometry import power_of_counts, to_db, without_noise
from drshym_pipeline.sar.safe_open import damaged
from drshym_pipeline.sar.validity import (
    BRIGHT_DB,
    FLOOR_DB,
    LEAST_DB,
    SOLID_SIDE,
    below_floor,
    measured,
    not_filled,
    solid,
)
from drshym_pipeline.tiling import Window

_HALO = SOLID_SIDE - 1
# Open water has at least the power of the noise. A tenth of it is the dark fringe at the border of older products.
_FAINT_SHARE = 0.1


def alpha_bands(dataset: Any) -> tuple[int, ...]:
    """Return the numbers of the alpha bands. GDAL itself makes a mask of them in some data types only."""
    return tuple(
        band for band, meaning in zip(dataset.indexes, dataset.colorinterp, strict=True) if meaning == ColorInterp.alpha
    )


def data_bands(dataset: Any) -> tuple[int, ...]:
    """Return the numbers of the bands that are not alpha."""
    alpha = alpha_bands(dataset)
    return tuple(band for band in dataset.indexes if band not in alpha)


@dataclass(frozen=True, slots=True)
class BandValues:
    """One band in a window.

    Args:
        values: (height, width), after scale and offset.
        given: (height, width) False where the file says that a value is missing, or the value is not finite.
        floor: (height, width) True where noise removal cut the value at zero; None when it did so nowhere.
        subtracted: (height, width) True where the product's noise was subtracted from a measurement; None without a
            noise table.
        faint: How many measurements were far below the noise before it was subtracted.
    """

    values: NDArray[np.generic]
    given: NDArray[np.bool_]
    floor: NDArray[np.bool_] | None = None
    subtracted: NDArray[np.bool_] | None = None
    faint: int = 0


@dataclass(frozen=True, slots=True)
class RasterBand:
    """One band of an open file.

    Args:
        polarisation: What the band is.
        dataset: The open reader of rasterio.
        path: The file to name in an error.
        index: The number of the band.
        table: The calibration table of its digital numbers.
        noise: The thermal noise that is subtracted from its digital numbers.
    """

    polarisation: Polarisation
    dataset: Any
    path: Path
    index: int
    table: CalibrationTable | None = None
    noise: NoiseTable | None = None

    @property
    def scale(self) -> tuple[float, float]:
        """Return the factor and the offset that turn stored numbers into values.

        Raises:
            InputError: They cannot be used.
        """
        factor, offset = float(self.dataset.scales[self.index - 1]), float(self.dataset.offsets[self.index - 1])
        if not np.isfinite([factor, offset]).all() or factor == 0.0:
            raise InputError(
                self.path, f"its scale {factor:g} and offset {offset:g} cannot be used", "Correct the tags of the file"
            )
        return factor, offset

    @property
    def nodata(self) -> float | None:
        """Return the nodata tag, which is a stored number."""
        value = self.dataset.nodatavals[self.index - 1]
        return None if value is None else float(value)

    @property
    def masked(self) -> bool:
        """Return whether the file has a mask."""
        return MaskFlags.per_dataset in self.dataset.mask_flag_enums[self.index - 1]

    def read(self, window: Window) -> BandValues:
        """Read a window.

        Raises:
            InputError: The file is damaged in this window.
        """
        place = RasterWindow(window.col, window.row, window.width, window.height)
        try:
            values: NDArray[Any] = self.dataset.read(self.index, window=place)
            given = not_filled(values, self.nodata)
            if self.masked:
                given &= self.dataset.read_masks(self.index, window=place) != 0
            for alpha in alpha_bands(self.dataset):
                given &= self.dataset.read(alpha, window=place) > 0
        except (RasterioError, CPLE_BaseError) as error:
            raise damaged(self.path, error) from error
        factor, offset = self.scale
        if (factor, offset) != (1.0, 0.0):
            # A float32 holds 16 bits exactly, and such a file is read in half of the time.
            short = values.dtype.itemsize <= 2
            floats: NDArray[Any] = values.astype(np.float32 if short else np.float64)
            values = floats * factor + offset
        return BandValues(values, given)


def _border(
    layer: BandValues, units: Units, padding: int | tuple[tuple[int, int], tuple[int, int]]
) -> NDArray[np.bool_]:
    """Return which pixels of a window are in a border of missing values.

    Args:
        layer: The values of the window, and perhaps of pixels around it.
        units: Their units.
        padding: The rows before and after, and the columns before and after, that are taken as missing, or one number
            for all four. With them, `layer` has `_HALO` pixels around the window on each side.
    """
    missing = below_floor(layer.values, units) | ~layer.given
    return solid(np.pad(missing, padding, constant_values=True))[_HALO:-_HALO, _HALO:-_HALO]


class SceneBands:
    """The bands of one scene, read window by window as dB. Only one thread may read at a time.

    Args:
        bands: VV, and VH where there is one.
        shape: Height and width of the scene.
        units: The units of the values; None while they are not known.
    """

    def __init__(self, bands: Sequence[RasterBand], shape: tuple[int, int], units: Units | None = None) -> None:
        self.bands = list(bands)
        self.shape = shape
        self.units = units

    def read(self, window: Window) -> list[BandValues]:
        """Read the values of a window, one entry per band.

        Raises:
            InputError: A file is damaged in this window.
        """
        layers = self._with_floor([band.read(window) for band in self.bands], window)
        return [self._without_noise(band, layer, window) for band, layer in zip(self.bands, layers, strict=True)]

    def _without_noise(self, band: RasterBand, layer: BandValues, window: Window) -> BandValues:
        """Return the values of a band after its noise is subtracted."""
        if band.noise is None or self.units is None:
            return layer
        noise = band.noise.power(window)
        measurements = layer.given & (layer.values != 0)
        power = power_of_counts(layer.values, self.units)
        faint = int(np.count_nonzero(measurements & (power < _FAINT_SHARE * noise)))
        return BandValues(without_noise(power, noise, self.units), layer.given, layer.floor, measurements, faint)

    def _with_floor(self, layers: list[BandValues], window: Window) -> list[BandValues]:
        """Return the values of a window with the pixels that noise removal cut at zero in one band only."""
        if self.units is None or len(layers) < 2:
            return layers
        # Zero is also the nodata tag of many products. Where the other band is valid, noise removal cut the value.
        low = [below_floor(layer.values, self.units) & (layer.given | (layer.values == 0)) for layer in layers]
        if not any(band.any() for band in low):
            return layers
        high = [layer.given & ~cut for layer, cut in zip(layers, low, strict=True)]
        if self.units == "db":
            # Exactly 0 dB beside a bright value is a bright target or a limit, and not noise removal.
            high = [band & np.less(layer.values, BRIGHT_DB) for band, layer in zip(high, layers, strict=True)]
        return [
            BandValues(layer.values, layer.given, self._floor(index, window, low[index] & high[1 - index], layer))
            for index, layer in enumerate(layers)
        ]

    def _floor(self, index: int, window: Window, cut: NDArray[np.bool_], layer: BandValues) -> NDArray[np.bool_] | None:
        """Return the pixels that noise removal cut at zero, without those of a border."""
        if not cut.any() or self.units is None:
            return None
        # Most windows have no border, even if all pixels around the window were missing: those need not be read.
        if not (cut & _border(layer, self.units, _HALO)).any():
            return cut
        height, width = self.shape
        top, left = max(0, window.row - _HALO), max(0, window.col - _HALO)
        bottom, right = min(height, window.rows.stop + _HALO), min(width, window.cols.stop + _HALO)
        around = self.bands[index].read(Window(top, left, bottom - top, right - left))
        rows, cols = window.row - top, window.col - left
        # Outside the scene everything is missing: zeros along the edge are a border, however narrow it is.
        below, beside = bottom - window.rows.stop, right - window.cols.stop
        return cut & ~_border(around, self.units, ((_HALO - rows, _HALO - below), (_HALO - cols, _HALO - beside)))

    def decibels(self, layers: Sequence[BandValues], window: Window) -> NDArray[np.float32]:
        """Return the values of a window as (bands, height, width) float32 dB, NaN where a band has no measurement.

        Raises:
            ValueError: The units are not known.
        """
        if self.units is None:
            raise ValueError("the units are not known")
        result = np.full((len(layers), window.height, window.width), np.nan, np.float32)
        for out, layer, band in zip(result, layers, self.bands, strict=True):
            offset = None if band.table is None else band.table.offset_db(window)
            db = to_db(layer.values, self.units, offset)
            np.copyto(out, db, where=layer.given & measured(layer.values, db))
            if layer.subtracted is not None:
                np.copyto(out, FLOOR_DB, where=layer.subtracted & ~(db >= LEAST_DB))  # not above the noise; or NaN
        if any(layer.floor is not None for layer in layers):
            # After both bands: a pixel is at the floor only where the other band has a measurement.
            whole = np.isfinite(result)
            for index, layer in enumerate(layers):
                if layer.floor is not None:
                    result[index][layer.floor & whole[1 - index]] = FLOOR_DB
        return result
