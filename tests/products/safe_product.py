"""Write small SAFE folders and zips with the structure of a real GRD product: images with control points, and tables.

The names, folders, elements and magnitudes are those of the Sentinel-1 Product Specification and of products of the
processor versions 2.7 (range noise only) and 3 (range and azimuth noise).
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint

from drshym_pipeline.tiling import Window
from tests.look_alikes import backscatter_db

PRODUCT = "S1A_IW_GRDH_1SDV_20210111T002146_20210111T002211_036088_043AE5_A1B2"
SCENE = PRODUCT[:-5]  # the name of the scene: the last four digits only distinguish copies of one product
_STEP = 40  # pixels between two values of a vector

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SafeOptions:
    """What differs between products.

    Args:
        product: The name of the product, without `.SAFE`.
        polarisations: The polarisations, co-polarised first.
        azimuth: Whether the noise table has azimuth vectors and the names of processor version 2.9 and later.
        noise: Whether there are noise tables.
        removed: Whether the annotation says that the processor has removed the noise.
        level: The range noise in squared digital numbers.
        cog: Whether it is the COG copy, whose files have `-cog` in their names.
    """

    product: str = PRODUCT
    polarisations: tuple[str, ...] = ("VV", "VH")
    azimuth: bool = True
    noise: bool = True
    removed: bool = False
    level: float = 265.0
    cog: bool = False

    def stem(self, index: int) -> str:
        """Return the name of the files of a polarisation, without extension."""
        mission, mode, _, _, start, stop, orbit, take = self.product.split("_")[:8]
        parts = (mission, mode, "grd", self.polarisations[index], start, stop, orbit, take, f"{index + 1:03d}")
        return "-".join(parts).lower() + ("-cog" if self.cog else "")


def constants(shape: tuple[int, int]) -> Array:
    """Return the calibration constant A of each pixel, (height, width): it falls from near to far range."""
    return np.broadcast_to(np.linspace(335.0, 279.0, shape[1]), shape).copy()


def noise_power(shape: tuple[int, int], options: SafeOptions) -> Array:
    """Return the thermal noise of each pixel in squared digital numbers, (height, width)."""
    height, width = shape
    in_range = options.level * (1.0 + 0.4 * np.linspace(-1.0, 1.0, width) ** 2)
    power = np.broadcast_to(in_range, shape).copy()
    if options.azimuth:
        for first, last, factors in _blocks(width):
            power[:, first : last + 1] *= np.interp(np.arange(height), (0, height - 1), factors)[:, np.newaxis]
    return power


def _blocks(width: int) -> list[tuple[int, int, tuple[float, float]]]:
    """Return first and last column of each sub-swath, and its azimuth factor at the first and the last line."""
    third = width // 3
    return [
        (0, third - 1, (1.0, 1.2)),
        (third, 2 * third - 1, (0.9, 0.8)),
        (2 * third, width - 1, (1.1, 1.0)),
    ]


def _listed(values: Sequence[float] | NDArray[np.floating] | NDArray[np.integer], name: str) -> str:
    return f'<{name} count="{len(values)}">{" ".join(f"{value:.9g}" for value in values)}</{name}>'


def _positions(size: int) -> NDArray[np.int_]:
    return np.unique([*range(0, size, _STEP), size - 1])


def _header(options: SafeOptions, polarisation: str) -> str:
    return (
        f"<adsHeader><missionId>{options.product[:3]}</missionId><productType>GRD</productType>"
        f"<polarisation>{polarisation}</polarisation><mode>IW</mode><swath>IW</swath>"
        "<startTime>2021-01-11T00:21:46.500000</startTime><stopTime>2021-01-11T00:22:11.500000</stopTime>"
        "<absoluteOrbitNumber>36088</absoluteOrbitNumber><imageNumber>001</imageNumber></adsHeader>"
    )


def calibration_xml(options: SafeOptions, polarisation: str, shape: tuple[int, int]) -> str:
    """Return the calibration table of a polarisation."""
    pixels = _positions(shape[1])
    values = constants(shape)[0, pixels]
    vectors = "".join(
        f"<calibrationVector><azimuthTime>2021-01-11T00:21:46.5</azimuthTime><line>{line}</line>"
        f"{_listed(pixels, 'pixel')}{_listed(values, 'sigmaNought')}{_listed(0 * values + 237.0, 'betaNought')}"
        f"{_listed(0.9 * values, 'gamma')}{_listed(0 * values + 237.0, 'dn')}</calibrationVector>"
        for line in _positions(shape[0])
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><calibration>{_header(options, polarisation)}'
        "<calibrationInformation><absoluteCalibrationConstant>1.000000e+00</absoluteCalibrationConstant>"
        f'</calibrationInformation><calibrationVectorList count="{len(_positions(shape[0]))}">{vectors}'
        "</calibrationVectorList></calibration>"
    )


def noise_xml(options: SafeOptions, polarisation: str, shape: tuple[int, int]) -> str:
    """Return the noise table of a polarisation."""
    height, width = shape
    pixels = np.arange(width)  # all of them, so that the interpolated noise is exactly `noise_power`
    values = options.level * (1.0 + 0.4 * np.linspace(-1.0, 1.0, width) ** 2)
    infix = "Range" if options.azimuth else ""
    lut = "noiseRangeLut" if options.azimuth else "noiseLut"
    vectors = "".join(
        f"<noise{infix}Vector><azimuthTime>2021-01-11T00:21:46.5</azimuthTime><line>{line}</line>"
        f"{_listed(pixels, 'pixel')}{_listed(values, lut)}</noise{infix}Vector>"
        for line in _positions(height)
    )
    listed = f'<noise{infix}VectorList count="{len(_positions(height))}">{vectors}</noise{infix}VectorList>'
    if options.azimuth:
        blocks = "".join(
            f"<noiseAzimuthVector><swath>IW{number}</swath><firstAzimuthLine>0</firstAzimuthLine>"
            f"<firstRangeSample>{first}</firstRangeSample><lastAzimuthLine>{height - 1}</lastAzimuthLine>"
            f"<lastRangeSample>{last}</lastRangeSample>{_listed([0, height - 1], 'line')}"
            f"{_listed(factors, 'noiseAzimuthLut')}</noiseAzimuthVector>"
            for number, (first, last, factors) in enumerate(_blocks(width), 1)
        )
        listed += f'<noiseAzimuthVectorList count="3">{blocks}</noiseAzimuthVectorList>'
    return f'<?xml version="1.0" encoding="UTF-8"?><noise>{_header(options, polarisation)}{listed}</noise>'


def annotation_xml(options: SafeOptions, polarisation: str, shape: tuple[int, int]) -> str:
    """Return the annotation of a polarisation: its header, what the processor has done, and the size of the image."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><product>{_header(options, polarisation)}<imageAnnotation>'
        f"<imageInformation><rangePixelSpacing>1.000000e+01</rangePixelSpacing><numberOfSamples>{shape[1]}"
        f"</numberOfSamples><numberOfLines>{shape[0]}</numberOfLines></imageInformation><processingInformation>"
        "<detectionPerformed>true</detectionPerformed><thermalNoiseCorrectionPerformed>"
        f"{str(options.removed).lower()}</thermalNoiseCorrectionPerformed></processingInformation></imageAnnotation>"
        "</product>"
    )


def control_points(shape: tuple[int, int]) -> list[GroundControlPoint]:
    """Return 10 x 21 control points of a descending pass: the image is turned by about 10 degrees."""
    height, width = shape
    points = []
    for row in np.linspace(0, height - 1, 10):
        for col in np.linspace(0, width - 1, 21):
            east, south = 9e-5 * (0.98 * col - 0.17 * row), 9e-5 * (0.98 * row + 0.17 * col)
            points.append(GroundControlPoint(row, col, 88.4 + east / np.cos(np.radians(22.6)), 22.6 - south, 0.0))
    return points


def write_image(
    path: Path,
    counts: NDArray[np.uint16] | NDArray[np.float32],
    points: Sequence[GroundControlPoint] | None = None,
) -> None:
    """Write a measurement file: digital numbers, control points (those of a whole image by default), no transform."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = counts.shape
    size = {"height": height, "width": width}
    points = control_points(counts.shape) if points is None else points
    with rasterio.open(
        path, "w", driver="GTiff", count=1, dtype=counts.dtype, gcps=points, crs="EPSG:4326", **size
    ) as image:
        image.write(counts, 1)


def digital_numbers(db: Array, options: SafeOptions) -> NDArray[np.uint16]:
    """Return the digital numbers of a band, (height, width): calibrated backscatter plus thermal noise."""
    shape = db.shape[0], db.shape[1]
    power = constants(shape) ** 2 * 10.0 ** (db / 10.0)
    if not options.removed:
        power += noise_power(shape, options)
    return np.where(np.isnan(db), 0, np.sqrt(power)).round().astype(np.uint16)


def write_safe(folder: Path, db: Array | None = None, options: SafeOptions | None = None) -> Path:
    """Write a SAFE folder.

    Args:
        folder: The folder that it is made in.
        db: (bands, height, width) sigma nought in dB without noise, NaN outside of the image.
        options: What differs between products.

    Returns:
        The SAFE folder.
    """
    options = options or SafeOptions()
    db = backscatter_db() if db is None else db
    safe = folder / f"{options.product}.SAFE"
    shape = db.shape[1], db.shape[2]
    for index, polarisation in enumerate(options.polarisations):
        stem = options.stem(index)
        write_image(safe / "measurement" / f"{stem}.tiff", digital_numbers(db[index], options))
        texts = {
            f"annotation/{stem}.xml": annotation_xml(options, polarisation, shape),
            f"annotation/calibration/calibration-{stem}.xml": calibration_xml(options, polarisation, shape),
        }
        if options.noise:
            texts[f"annotation/calibration/noise-{stem}.xml"] = noise_xml(options, polarisation, shape)
        texts["manifest.safe"] = (
            '<?xml version="1.0" encoding="UTF-8"?><xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1"/>'
        )
        texts["preview/map-overlay.kml"] = "<kml/>"
        texts["support/s1-level-1-product.xsd"] = "<schema/>"
        for name, text in texts.items():
            (safe / name).parent.mkdir(parents=True, exist_ok=True)
            (safe / name).write_text(text, "utf-8")
    return safe


def cut_out(
    safe: Path, folder: Path, window: Window, kinds: Sequence[str], options: SafeOptions | None = None, step: int = 1
) -> Path:
    """Write a part of the images of a product, with the tables of the whole product beside it.

    The control points are shifted, as `gdal_translate -srcwin` shifts them, and none is left out.

    Args:
        safe: The SAFE folder.
        folder: The folder that the part is written to.
        window: The part.
        kinds: Which tables are copied: `calibration`, `noise`, `annotation`.
        options: The options that the product was written with.
        step: Only each `step`-th line and column is kept.

    Returns:
        The image of the first polarisation.
    """
    options = options or SafeOptions()
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(len(options.polarisations)):
        stem = options.stem(index)
        with rasterio.open(safe / "measurement" / f"{stem}.tiff") as image:
            counts = image.read(1)[window.rows, window.cols][::step, ::step]
            points = [
                GroundControlPoint((point.row - window.row) / step, (point.col - window.col) / step, point.x, point.y)
                for point in image.gcps[0]
            ]
        write_image(folder / f"{stem}.tiff", counts, points)
        for kind in kinds:
            name = f"{stem}.xml" if kind == "annotation" else f"{kind}-{stem}.xml"
            place = safe / "annotation" if kind == "annotation" else safe / "annotation" / "calibration"
            (folder / name).write_bytes((place / name).read_bytes())
    return folder / f"{options.stem(0)}.tiff"


def zip_safe(safe: Path, path: Path | None = None) -> Path:
    """Write a zip that contains one SAFE folder, with entries for its folders; return its path."""
    path = path or safe.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (safe, *sorted(safe.rglob("*"))):
            archive.write(file, file.relative_to(safe.parent))
    return path
