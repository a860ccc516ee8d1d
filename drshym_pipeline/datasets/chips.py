"""One labelled chip: its files and its pixels.

This module reads a Sentinel-1 chip and its label onto one grid and refuses pairs that do not fit. Chips of every set
are read here, in dB or 8-bit (`eight_bit`). The loader of each set decides which chips belong to which split; `crops`
and the package `model` decide what the network receives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.datasets.eight_bit import EightBitForm, read_picture_chip
from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.validity import observed

if TYPE_CHECKING:
    from affine import Affine

    from drshym_pipeline.records import Polarisation

InvalidLabel = Literal["ignore", "non_flood"]

IGNORED, DRY, WATER = -1, 0, 1
_MISSING_LABEL = 255  # the STAC-Overflow release of the same labels writes 255 where Sen1Floods11 writes -1
_GRID_TOLERANCE = 0.1  # pixels; official images and labels were cut separately and differ in the last digits
_BANDS = 2


@dataclass(frozen=True)
class ChipRef:
    """A chip's identity and files.

    Args:
        chip_id: Name of the chip, such as `Ghana_103272`.
        event: The flood event that the chip was cut from, such as `Ghana`. Chips of one event are not independent.
            Intervals draw events first. Chips whose event is not known share one name, because they may be neighbours.
        split: The split whose list names the chip.
        image: Raster with VV and VH in dB, or with VV alone.
        label: The label raster; None where the chip has none.
        ancillary: Rasters on the same grid, by kind: `dem`, `landcover`, `permanent_water`, `pre_event`.
        vh: Raster with VH on the same grid, where VH has a file of its own.
        eight_bit: How to read `image`, `vh` and `label` where they are 8-bit pictures; None for rasters in dB.
        derived_label: Whether the label was computed from another image. Its -1 marks pixels in doubt, so it is ignored
            under every setting of `invalid_label`.
        mirrored: Whether a training crop that is larger than the chip is filled with mirrored copies of the chip.
            Otherwise the rest of the crop is not observed.
        check_units: Whether the chip is refused if its values are not like dB: the files of a user's own folder.
    """

    chip_id: str
    event: str
    split: str
    image: Path
    label: Path | None = None
    ancillary: Mapping[str, Path] = field(default_factory=dict, hash=False)
    vh: Path | None = None
    eight_bit: EightBitForm | None = None
    derived_label: bool = False
    mirrored: bool = False
    check_units: bool = False

    @property
    def encoding(self) -> Literal["db", "eight_bit"]:
        """What the pixel values are."""
        return "db" if self.eight_bit is None else "eight_bit"


@dataclass(frozen=True)
class LabelledChip:
    """The pixels of one chip.

    Args:
        ref: The chip that the pixels belong to.
        db: (bands, h, w) float32 backscatter in dB, VV first; NaN in every band where one was not observed.
        label: (h, w) int8: 1 water, 0 dry, -1 ignored; -1 wherever `db` is NaN.
        crs: Coordinate reference system, such as `EPSG:4326`; empty when the file has none.
        transform: Affine of the upper left corner of a pixel, in units of `crs`.
    """

    ref: ChipRef
    db: NDArray[np.float32]
    label: NDArray[np.int8]
    crs: str
    transform: Affine


def _band_order(descriptions: tuple[str | None, ...], count: int) -> list[int]:
    """Return the band numbers of VV and then VH: by their names where VV is named, else in file order."""
    names = [(name or "").upper() for name in descriptions]
    if "VV" in names:
        order = [names.index("VV") + 1]
        if "VH" in names:
            order.append(names.index("VH") + 1)
        return order
    return list(range(1, min(count, _BANDS) + 1))


def read_db(path: Path) -> tuple[NDArray[np.float32], str, Affine]:
    """Read backscatter in dB.

    Args:
        path: GeoTIFF with VV[, VH] in dB.

    Returns:
        ((bands, h, w) float32 dB with NaN where a band was not observed, the CRS, the transform). NaN, infinities, the
        declared nodata value and the zero fill of older chips all count as not observed.

    Raises:
        InputError: The file is missing or not a readable GeoTIFF.
    """
    import rasterio

    from drshym_pipeline.sar.safe_open import open_raster

    with open_raster(path) as dataset:
        # `open_raster` opens the file without overviews. GDAL then hides the names of the bands, so the file is opened
        # a second time to read them.
        with rasterio.open(path, driver="GTiff", sharing=False) as named:
            names = named.descriptions
        raw = dataset.read(_band_order(names, dataset.count))
        nodata, crs, transform = dataset.nodata, dataset.crs, dataset.transform
    values = raw.astype(np.float32)
    values[:, ~observed(raw, nodata).all(axis=0)] = np.nan
    return values, crs.to_string() if crs else "", transform


def _same_grid(first: Affine, second: Affine, height: int, width: int) -> bool:
    """Return whether two transforms put all corners of a raster within a tenth of a pixel of each other."""
    to_pixels = ~first
    for corner in ((0, 0), (width, 0), (0, height), (width, height)):
        col, row = to_pixels @ (second @ corner)
        if abs(col - corner[0]) > _GRID_TOLERANCE or abs(row - corner[1]) > _GRID_TOLERANCE:
            return False
    return True


def _read_bands(ref: ChipRef) -> tuple[NDArray[np.float32], str, Affine]:
    """Read backscatter as `read_db` does, also where the bands of the chip are in two files."""
    db, crs, transform = read_db(ref.image)
    if ref.vh is None:
        return db, crs, transform
    vh, vh_crs, vh_transform = read_db(ref.vh)
    if vh.shape[1:] != db.shape[1:] or vh_crs != crs or not _same_grid(transform, vh_transform, *db.shape[1:]):
        raise InputError(ref.vh, f"is on another grid than VV in {ref.image}", "Write both bands on one grid")
    both = np.concatenate([db[:1], vh[:1]])
    both[:, np.isnan(both).any(axis=0)] = np.nan
    return both, crs, transform


def _read_pictures(ref: ChipRef, form: EightBitForm) -> LabelledChip:
    """Read a chip of 8-bit pictures, which have no coordinates."""
    from affine import Affine

    chip = read_picture_chip(ref.image, ref.vh, ref.label, form)
    label = np.where(chip.ignored, IGNORED, np.where(chip.water, WATER, DRY)).astype(np.int8)
    return LabelledChip(ref, chip.db, label, "", Affine.identity())


def _read_label(path: Path, image: Path, shape: tuple[int, int], crs: str, transform: Affine) -> NDArray[np.int8]:
    """Read the label on the image's grid, -1 where a pixel is not labelled."""
    from drshym_pipeline.sar.safe_open import open_raster

    with open_raster(path) as dataset:
        found = (dataset.height, dataset.width)
        if found != shape:
            raise InputError(
                path,
                f"the label has {found[0]} x {found[1]} pixels, its image {image} has {shape[0]} x {shape[1]}",
                "Write the label on the image's grid",
            )
        label_crs = dataset.crs.to_string() if dataset.crs else ""
        if label_crs != crs or not _same_grid(transform, dataset.transform, *shape):
            raise InputError(
                path,
                f"the label is on another grid ({label_crs or 'no CRS'}) than its image {image} ({crs or 'no CRS'})",
                "Write the label on the image's grid",
            )
        raw, nodata = dataset.read(1), dataset.nodata
    ignored = (raw == IGNORED) | (raw == _MISSING_LABEL) | ~np.isfinite(raw)
    if nodata is not None and nodata not in (DRY, WATER):
        ignored |= raw == nodata
    unknown = ~(ignored | (raw == DRY) | (raw == WATER))
    if unknown.any():
        raise InputError(
            path, f"the label holds the value {raw[unknown][0]}", "Use 1 for water, 0 for dry and -1 for ignored"
        )
    label = np.full(shape, IGNORED, np.int8)
    label[~ignored] = raw[~ignored].astype(np.int8)
    return label


def read_chip(ref: ChipRef, invalid_label: InvalidLabel = "ignore") -> LabelledChip:
    """Read a chip and its label.

    Args:
        ref: The chip to read. Without a label file every pixel is ignored.
        invalid_label: `ignore` keeps -1. `non_flood` turns observed pixels of label -1 into dry ones, as the original
            system did. Pixels that were not observed stay -1 in both cases. Pixels of 8-bit pictures stay -1 too: their
            labels have no -1, and there it marks what the loader found to be wrong or in doubt. The same holds for
            derived labels.

    Raises:
        InputError: A file is missing or unreadable, the label has another shape, grid or other values, or a chip whose
            units are checked is not in dB.
    """
    chip = _read_rasters(ref) if ref.eight_bit is None else _read_pictures(ref, ref.eight_bit)
    label = chip.label
    drawn = ref.label is not None and ref.eight_bit is None and not ref.derived_label
    if drawn and invalid_label == "non_flood":
        label[label == IGNORED] = DRY
    label[np.isnan(chip.db[0])] = IGNORED
    return chip


def _refuse_other_units(ref: ChipRef, db: NDArray[np.float32]) -> None:
    from drshym_pipeline.sar.unit_evidence import BandSample
    from drshym_pipeline.sar.units import other_than_db

    seen = np.isfinite(db).all(axis=0)
    names: tuple[Polarisation, ...] = ("VV", "VH")
    samples = [BandSample(name, band[seen].astype(np.float64)) for name, band in zip(names, db, strict=False)]
    if problem := other_than_db(samples):
        raise InputError(
            ref.image,
            f"the patch '{ref.chip_id}': {problem}",
            "Write it in dB: 10 log10 of linear power, or 20 log10 of amplitude. Calibrate digital numbers first",
        )


def _read_rasters(ref: ChipRef) -> LabelledChip:
    """Read a chip of rasters in dB."""
    db, crs, transform = _read_bands(ref)
    if ref.check_units:
        _refuse_other_units(ref, db)
    shape = (db.shape[1], db.shape[2])
    if ref.label is None:
        label = np.full(shape, IGNORED, np.int8)
    else:
        label = _read_label(ref.label, ref.image, shape, crs, transform)
    return LabelledChip(ref, db, label, crs, transform)
