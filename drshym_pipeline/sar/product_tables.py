"""The XML tables of a ground-range product: which files they are, how they are read safely, how they are interpolated.

A table has vectors: for some lines of the image, values at some pixels of the line (Sentinel-1 Product Specification,
sections 6.3.2 and 6.3.3). `calibration` and `noise` say what the values mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final, Literal
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.tiling import Window

MAX_XML_BYTES: Final = 32 << 20  # the tables of real products have about one megabyte
MEASUREMENT_FOLDER: Final = "measurement"

# For the tables of a whole product beside a part of its image, or beside a copy of another size.
OTHER_IMAGE_REMEDY: Final = (
    "Give the whole image, calibrate it before you cut or resample it, or remove the tables to use a nominal constant"
)

TableKind = Literal["calibration", "noise", "annotation"]
TABLE_KINDS: Final[tuple[TableKind, ...]] = ("calibration", "noise", "annotation")


# --- which files --------------------------------------------------------------------------------------------------


def table_places(image: PurePath, kind: TableKind) -> list[PurePath]:
    """Return the paths where a table of a measurement file may be, the best one first.

    In a SAFE folder the tables are in `annotation/` and `annotation/calibration/`, and the image is in `measurement/`.
    Elsewhere they are in the image's own folder.

    Args:
        image: The measurement file; it need not exist.
        kind: `calibration` or `noise`, or `annotation` for the annotation of the product, which has the image's name.
    """
    name = f"{image.stem}.xml" if kind == "annotation" else f"{kind}-{image.stem}.xml"
    places = [image.parent / name]
    if image.parent.name == MEASUREMENT_FOLDER:
        annotation = image.parent.parent / "annotation"
        places.insert(0, (annotation if kind == "annotation" else annotation / "calibration") / name)
    if kind == "calibration":  # in the copies of a scene that release 0.1.0 keeps in the store
        places.extend(image.parent / f"{polarisation}_{name}" for polarisation in ("VV", "VH"))
    return places


def find_table(image: Path, kind: TableKind) -> Path | None:
    """Return the path of a table of a measurement file, None when there is none.

    A link is not followed, because it may point to any file.
    """
    places = (Path(place) for place in table_places(image, kind))
    return next((path for path in places if path.is_file() and not path.is_symlink()), None)


# --- reading ------------------------------------------------------------------------------------------------------


def read_xml(path: Path, what: str, remedy: str) -> ElementTree.Element:
    """Read an XML file of unknown origin.

    Args:
        path: The file.
        what: What the file should be, with its article, such as "a noise table".
        remedy: What the user can do about a bad file.

    Raises:
        InputError: The file is too large, declares a document type or entities, or is not XML.
    """
    size = path.stat().st_size
    if size > MAX_XML_BYTES:
        raise InputError(path, f"{size} bytes are too many for {what}", remedy)
    data = path.read_bytes()
    # Entities can expand to gigabytes or name other files; no product has any. In UTF-16 this search would miss them.
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data or b"\0" in data:
        raise InputError(path, f"declares a document type or entities, which is not usual in {what}", remedy)
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise InputError(path, f"not XML ({error})", remedy) from error


def check_polarisation(root: ElementTree.Element, polarisation: str, path: Path, remedy: str) -> None:
    """Make sure that a table is of a polarisation.

    Raises:
        InputError: It is of another one, or of none.
    """
    stated = (root.findtext("adsHeader/polarisation") or root.findtext(".//polarisation") or "").strip().upper()
    if stated != polarisation:
        raise InputError(path, f"is of {stated or 'no polarisation'}, the image of {polarisation}", remedy)


def numbers(element: ElementTree.Element, name: str, path: Path, remedy: str) -> NDArray[np.float64]:
    """Return the numbers of a child of an element, (n,) with n at least 1.

    Raises:
        InputError: There is no such child, or it contains something else than finite numbers.
    """
    text = element.findtext(name)
    try:
        found = np.array((text or "").split(), dtype=np.float64)
    except ValueError as error:
        raise InputError(path, f"<{name}> contains something that is not a number", remedy) from error
    if not found.size:
        raise InputError(path, f"a vector without <{name}>", remedy)
    if not np.isfinite(found).all():
        raise InputError(path, f"<{name}> contains a number that is not finite", remedy)
    return found


def check_annotated_size(annotation: Path, shape: tuple[int, int]) -> None:
    """Make sure that the annotation of a product is of an image with this height and width, if it states a size.

    An XML file with the name of the image may be something else. One that cannot be read decides nothing here.

    Raises:
        InputError: It is of another image.
    """
    try:
        root = read_xml(annotation, "the annotation of a product", OTHER_IMAGE_REMEDY)
    except InputError:
        return
    names = ("numberOfLines", "numberOfSamples")
    stated = tuple((root.findtext(f"imageAnnotation/imageInformation/{name}") or "").strip() for name in names)
    if all(number.isdecimal() for number in stated) and tuple(map(int, stated)) != shape:
        problem = f"is of an image of {stated[1]} x {stated[0]} pixels, this one has {shape[1]} x {shape[0]}"
        raise InputError(annotation, problem, OTHER_IMAGE_REMEDY)


# --- interpolation ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VectorTable:
    """Values at some pixels of some lines of an image.

    Args:
        lines: (n,) rows of the image, increasing, n at least 2.
        pixels: n arrays of columns, increasing.
        values: n arrays of the values at these columns.
    """

    lines: NDArray[np.float64]
    pixels: tuple[NDArray[np.float64], ...]
    values: tuple[NDArray[np.float64], ...]

    def ends_with(self, shape: tuple[int, int]) -> bool:
        """Return whether the last positions are the last line and the last pixel of an image, to one pixel."""
        height, width = shape
        last = [(self.lines[-1], height), *((pixels[-1], width) for pixels in self.pixels)]
        return all(abs(position - (size - 1)) <= 1 for position, size in last)

    def interpolate(self, window: Window) -> NDArray[np.float32]:
        """Return the values at the pixels of a window, (height, width), interpolated bilinearly.

        Before the first and after the last position the value is that of the nearest one.
        """
        rows = np.arange(window.row, window.row + window.height, dtype=np.float64)
        cols = np.arange(window.col, window.col + window.width, dtype=np.float64)
        upper = np.clip(np.searchsorted(self.lines, rows, side="right") - 1, 0, len(self.lines) - 2)
        share = (rows - self.lines[upper]) / (self.lines[upper + 1] - self.lines[upper])
        share = np.clip(share, 0.0, 1.0).astype(np.float32)
        used = range(int(upper[0]), int(upper[-1]) + 2)
        at_cols = {k: np.interp(cols, self.pixels[k], self.values[k]).astype(np.float32) for k in used}
        out = np.empty((window.height, window.width), np.float32)
        for k in used[:-1]:
            here = upper == k
            out[here] = at_cols[k] + share[here, np.newaxis] * (at_cols[k + 1] - at_cols[k])
        return out


def _reaches(positions: NDArray[np.float64], size: int, to_the_edge: bool) -> bool:
    """Return whether increasing positions cover 0 to size - 1."""
    steps = np.zeros(1) if to_the_edge or len(positions) < 2 else np.diff(positions)
    return bool(positions[0] <= steps[0] and positions[-1] + steps[-1] >= size - 1)


def _is_beyond(positions: NDArray[np.float64], size: int) -> bool:
    """Return whether increasing positions end more than one step after size - 1.

    The tables of real products end at the last pixel, and at the last line or less than one step after it.
    """
    step = np.diff(positions).max() if len(positions) > 1 else 0.0
    return bool(positions[-1] - step > size - 1)


def read_vectors(
    vectors: Sequence[ElementTree.Element],
    value_name: str,
    shape: tuple[int, int],
    path: Path,
    remedy: str,
    *,
    to_the_edge: bool = True,
) -> VectorTable:
    """Read vectors with the children `line`, `pixel` and `value_name`, and make sure that they cover the image.

    Args:
        vectors: The elements.
        value_name: The name of the child with the values.
        shape: Height and width of the image.
        path: The file to name in an error.
        remedy: What the user can do about a bad file.
        to_the_edge: Whether the vectors must reach the edges of the image. Otherwise one step between vectors, or
            between two pixels of a vector, may be missing at each edge.

    Raises:
        InputError: There are fewer than two vectors, they are not in order, they do not cover the image or are of a
            larger one, or a vector has other numbers of pixels and of values.
    """
    if len(vectors) < 2:
        raise InputError(path, f"has {len(vectors)} vectors, needs two or more", remedy)
    table = VectorTable(
        lines=np.array([numbers(vector, "line", path, remedy)[0] for vector in vectors]),
        pixels=tuple(numbers(vector, "pixel", path, remedy) for vector in vectors),
        values=tuple(numbers(vector, value_name, path, remedy) for vector in vectors),
    )
    height, width = shape
    for line, pixels, values in zip(table.lines, table.pixels, table.values, strict=True):
        if len(pixels) != len(values):
            raise InputError(path, f"line {line:g} has {len(pixels)} pixels and {len(values)} values", remedy)
        if not (np.diff(pixels) > 0).all():
            raise InputError(path, f"the pixels of line {line:g} are not in order", remedy)
        if not _reaches(pixels, width, to_the_edge):
            raise InputError(path, f"line {line:g} covers columns {pixels[0]:g} to {pixels[-1]:g} of {width}", remedy)
    if not (np.diff(table.lines) > 0).all():
        raise InputError(path, "its lines are not in order", remedy)
    if not _reaches(table.lines, height, to_the_edge):
        raise InputError(path, f"covers lines {table.lines[0]:g} to {table.lines[-1]:g} of {height}", remedy)
    if _is_beyond(table.lines, height) or any(_is_beyond(pixels, width) for pixels in table.pixels):
        most = max(pixels[-1] for pixels in table.pixels)
        problem = f"is of a larger image: it covers {most + 1:g} x {table.lines[-1] + 1:g} pixels of {width} x {height}"
        raise InputError(path, problem, OTHER_IMAGE_REMEDY)
    return table
