"""The calibration table of a ground-range product, which converts its digital numbers to sigma nought.

The table is an XML file of the product (Sentinel-1 Product Specification, section 6.3.2). For some lines of the image
and some pixels of each line it gives the constant A of sigma0 = (DN / A)^2. Between them A is interpolated bilinearly,
as the specification requires. `product_tables` finds and reads the file; `radiometry` converts the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Polarisation
from drshym_pipeline.sar.product_tables import VectorTable, check_polarisation, read_vectors, read_xml
from drshym_pipeline.tiling import Window

_REMEDY = "Take the file from the product again, or remove it to use a nominal constant"


@dataclass(frozen=True)
class CalibrationTable:
    """Sigma-nought calibration constants of one polarisation.

    Args:
        constants: The constants A, positive.
    """

    constants: VectorTable

    def offset_db(self, window: Window) -> NDArray[np.float32]:
        """Return the number to subtract from 20 log10(DN) for each pixel of a window.

        It is (height, width) float32: 20 log10(A), with A interpolated at the window's pixels.
        """
        return np.asarray(20.0 * np.log10(self.constants.interpolate(window)), np.float32)


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
    root = read_xml(path, "a calibration table", _REMEDY)
    check_polarisation(root, polarisation, path, _REMEDY)
    constants = read_vectors(root.findall(".//calibrationVector"), "sigmaNought", shape, path, _REMEDY)
    for line, values in zip(constants.lines, constants.values, strict=True):
        if not (values > 0).all():
            raise InputError(path, f"line {line:g} has a constant that is not positive", _REMEDY)
    return CalibrationTable(constants)
