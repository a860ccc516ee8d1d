"""The stored backscatter of a scene in dB, which every later stage reads.

A source is decoded, calibrated and searched for pixels that are not observed only once, while it is described. The
result is stored as whole steps of 1/400 dB in an uncompressed tiled GeoTIFF: any window of it is read fast, and any GIS
opens it. The file can be made again from the source at any time. It is deleted together with the tile probabilities.
"""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterWindow

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import SceneMeta
from drshym_pipeline.sar.codes import BACKSCATTER_FILE, CODES_PER_DB, LOWEST_DB, NOT_OBSERVED_CODE
from drshym_pipeline.sar.completeness import check_written, missing_block
from drshym_pipeline.tiling import Window

_BLOCK: Final = 512


class BackscatterWriter:
    """Writes a scene window by window while it is described; a context manager that finishes the file.

    Args:
        path: The file; the caller gives it its final name when it is complete.
        bands: The number of polarisations.
    """

    def __init__(self, path: Path, bands: int) -> None:
        self._path, self._bands = path, bands
        self._dataset: Any = None

    def open(self, height: int, width: int) -> None:
        """Begin the file. It has no georeference: an image may have no transform, and the scene's record has it all."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            self._dataset = rasterio.open(
                self._path,
                "w",
                driver="GTiff",
                dtype="uint16",
                count=self._bands,
                height=height,
                width=width,
                nodata=NOT_OBSERVED_CODE,
                tiled=True,
                blockxsize=_BLOCK,
                blockysize=_BLOCK,
                interleave="band",
                BIGTIFF="IF_SAFER",
            )
        self._dataset.scales = (1.0 / CODES_PER_DB,) * self._bands
        self._dataset.offsets = (LOWEST_DB - 1.0 / CODES_PER_DB,) * self._bands

    def write(self, window: Window, codes: NDArray[np.uint16]) -> None:
        """Write one window.

        Args:
            window: Rows and columns of the scene.
            codes: (bands, height, width) as `encode_db` returns them, 0 in every band where any is not observed.

        Raises:
            OSError: The file cannot be written. This is a fault of the machine, not of the scene that is read.
        """
        place = RasterWindow(window.col, window.row, window.width, window.height)
        try:
            self._dataset.write(codes, window=place)
        except (RasterioError, CPLE_BaseError) as error:
            # Not rasterio's own error: the calling code would report it as a damaged source.
            raise OSError(f"{self._path}: cannot be written ({error}); is the disk full?") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._dataset is None:
            return
        self._dataset.close()
        if kind is None:
            check_written(self._path)


class BackscatterReader:
    """Reads windows of a staged scene's `backscatter.tif`. Threads may share a reader; each gets its own handle.

    Args:
        meta: The scene's description.
        directory: The folder of the file.

    Raises:
        InputError: The file is missing or belongs to another scene.
    """

    def __init__(self, meta: SceneMeta, directory: Path) -> None:
        self.meta = meta
        self._path = directory / BACKSCATTER_FILE
        self._handles: list[Any] = []
        self._local = threading.local()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._dataset()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            for handle in self._handles:
                handle.close()
            self._handles.clear()
        self._local = threading.local()

    def _dataset(self) -> Any:
        dataset = getattr(self._local, "dataset", None)
        if dataset is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                try:
                    dataset = rasterio.open(self._path, driver="GTiff", sharing=False)
                except RasterioError as error:
                    raise InputError(self._path, f"cannot be read ({error})", "Stage the scene again") from error
            if (dataset.height, dataset.width, dataset.count) != (*self.meta.shape, len(self.meta.bands)):
                dataset.close()
                raise InputError(self._path, "is not of the scene in this folder", "Stage the scene again")
            with self._lock:
                self._handles.append(dataset)
            self._local.dataset = dataset
        return dataset

    def check_whole(self) -> None:
        """Check that no block is missing or ends after the end of the file, without reading the pixels.

        Raises:
            InputError: The file is not whole.
        """
        cut = missing_block(self._dataset(), self._path)
        if cut is not None:
            raise InputError(self._path, f"is not whole: {cut}", "Stage the scene again")

    def read(self, window: Window, bands: int | None = None) -> NDArray[np.uint16]:
        """Read the stored backscatter of a window inside the scene.

        Args:
            window: Rows and columns of the scene.
            bands: The number of bands, VV first; all by default.

        Returns:
            (bands, height, width) uint16 as `encode_db` returns them, 0 in every band where any is not observed.

        Raises:
            InputError: The file is damaged in this window.
        """
        dataset = self._dataset()
        place = RasterWindow(window.col, window.row, window.width, window.height)
        try:
            codes: NDArray[np.uint16] = dataset.read(list(range(1, (bands or dataset.count) + 1)), window=place)
        except RasterioError as error:
            raise InputError(self._path, f"cannot be read ({error})", "Stage the scene again") from error
        return codes
