"""The calibration table of a ground-range product, which converts its digital numbers to sigma nought.

The table is an XML file of the product (Sentinel-1 Product Specification, section 6.3.2). For some lines of the image
and some pixels of each line it gives the constant A of sigma0 = (DN / A)^2. Between them A is interpolated bilinearly,
as the specification requires. This module also finds the file; `radiometry` converts the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Polarisation
from drshym_pipeline.tiling import Window

MAX_XML_BYTES = 32 << 20  # the tables of real products have about one megabyte
_REMEDY = "Take the file from the product again, or remove it to use a nominal constant"


@dataclass(frozen=True)
class CalibrationTable:
    """Sigma-nought calibration constants of one polarisation.

    Args:
        lines: (n,) rows of the image, increasing.
        pixels: n arrays of columns, increasing.
        values: n arrays of the constant A at these columns, positive.
    """

    lines: NDArray[np.float64]
    pixels: tuple[NDArray[np.float64], ...]
    values: tuple[NDArray[np.float64], ...]

    def offset_db(self, window: Window) -> NDArray[np.float32]:
        """Return the number to subtract from 20 log10(DN) for each pixel of a window.

        It is (height, width) float32: 20 log10(A), with A interpolated at the window's pixels.
        """
        rows = np.arange(window.row, window.row + window.height, dtype=np.float64)
        cols = np.arange(window.col, window.col + window.width, dtype=np.float64)
        upper = np.clip(np.searchsorted(self.lines, rows, side="right") - 1, 0, len(self.lines) - 2)
        share = ((rows - self.lines[upper]) / (self.lines[upper + 1] - self.lines[upper])).astype(np.float32)
        used = range(int(upper[0]), int(upper[-1]) + 2)
        at_cols = {k: np.interp(cols, self.pixels[k], self.values[k]).astype(np.float32) for k in used}
        out = np.empty((window.height, window.width), np.float32)
        for k in used[:-1]:
            here = upper == k
            out[here] = at_cols[k] + share[here, np.newaxis] * (at_cols[k + 1] - at_cols[k])
        return np.asarray(20.0 * np.log10(out), np.float32)


def find_calibration(image: Path) -> Path | None:
    """Return the path of the calibration table of a measurement file, None when there is none.

    In a SAFE folder it is `annotation/calibration/calibration-<name>.xml` beside `measurement/`; elsewhere it is
    `calibration-<name>.xml` in the file's own folder. A link is not followed, because it may point to any file.
    """
    name = f"calibration-{image.stem}.xml"
    places = [image.parent / name]
    if image.parent.name == "measurement":
        places.insert(0, image.parent.parent / "annotation" / "calibration" / name)
    return next((path for path in places if path.is_file() and not path.is_symlink()), None)


def _root(path: Path) -> ElementTree.Element:
    size = path.stat().st_size
    if size > MAX_XML_BYTES:
        raise InputError(path, f"{size} bytes are too many for a calibration table", _REMEDY)
    data = path.read_bytes()
    # Entities can expand to gigabytes or name other files; no product has any. In UTF-16 this search would miss them.
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data or b"\0" in data:
        raise InputError(path, "declares a document type or entities, which no calibration table has", _REMEDY)
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise InputError(path, f"not XML ({error})", _REMEDY) from error


def _numbers(vector: ElementTree.Element, name: str, path: Path) -> NDArray[np.float64]:
    text = vector.findtext(name)
    try:
        numbers = np.array((text or "").split(), dtype=np.float64)
    except ValueError as error:
        raise InputError(path, f"<{name}> contains something that is not a number", _REMEDY) from error
    if not numbers.size:
        raise InputError(path, f"a calibration vector without <{name}>", _REMEDY)
    return numbers


def _check_vectors(table: CalibrationTable, shape: tuple[int, int], path: Path) -> None:
    height, width = shape
    for line, pixels, values in zip(table.lines, table.pixels, table.values, strict=True):
        if len(pixels) != len(values):
            raise InputError(path, f"line {line:g} has {len(pixels)} pixels and {len(values)} constants", _REMEDY)
        if not np.isfinite(values).all() or not (values > 0).all():
            raise InputError(path, f"line {line:g} has a constant that is not positive", _REMEDY)
        if not np.isfinite([line, *pixels]).all():
            raise InputError(path, f"line {line:g} has a position that is not finite", _REMEDY)
        if not (np.diff(pixels) > 0).all():
            raise InputError(path, f"the pixels of line {line:g} are not in order", _REMEDY)
        if pixels[0] > 0 or pixels[-1] < width - 1:
            raise InputError(path, f"line {line:g} covers columns {pixels[0]:g} to {pixels[-1]:g} of {width}", _REMEDY)
    if not (np.diff(table.lines) > 0).all():
        raise InputError(path, "its lines are not in order", _REMEDY)
    if table.lines[0] > 0 or table.lines[-1] < height - 1:
        raise InputError(path, f"covers lines {table.lines[0]:g} to {table.lines[-1]:g} of {height}", _REMEDY)


def read_calibration(path: Path, polarisation: Polarisation, shape: tuple[int, int]) -> CalibrationTable:
    """Read a calibration table and make sure that it is of this image.

    Args:
        path: The XML file.
        polarisation: The polarisation that the table must have.
        shape: Height and width of the image.

    Raises:
        InputError: The file is not XML, is too large, has entities, is of another polarisation or has no vectors; or
            its vectors do not cover the image or contain impossible constants.
    """
    root = _root(path)
    stated = (root.findtext("adsHeader/polarisation") or root.findtext(".//polarisation") or "").strip().upper()
    if stated != polarisation:
        raise InputError(path, f"is of {stated or 'no polarisation'}, the image of {polarisation}", _REMEDY)
    vectors: Sequence[ElementTree.Element] = root.findall(".//calibrationVector")
    if len(vectors) < 2:
        raise InputError(path, f"has {len(vectors)} calibration vectors, needs two or more", _REMEDY)
    table = CalibrationTable(
        lines=np.array([_numbers(vector, "line", path)[0] for vector in vectors]),
        pixels=tuple(_numbers(vector, "pixel", path) for vector in vectors),
        values=tuple(_numbers(vector, "sigmaNought", path) for vector in vectors),
    )
    _check_vectors(table, shape, path)
    return table
