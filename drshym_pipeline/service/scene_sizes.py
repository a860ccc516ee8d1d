"""Look up the number of pixels of a scene in other processes.

The service itself never opens a raster: a file that lets the raster library crash or hang ends a process of this
module, and its request gets an error. The next request gets a new process.
"""

from __future__ import annotations

import logging
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from drshym_pipeline.errors import InputError
from drshym_pipeline.service.helper_pool import HelperPool, NoFreeProcessError
from drshym_pipeline.service.helper_process import READY, ProcessEndedError, TimeLimitError
from drshym_pipeline.service.problems import ProblemError
from drshym_pipeline.service.spawning import ignore_interrupt

_PROCESSES: Final = 2  # one that hangs does not stop the other
_SECONDS: Final = 60.0  # in a zip, an image may have its header at the end
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Fault:
    """An error that the file has not caused, as a traceback."""

    text: str


def _serve(connection: Connection) -> None:
    """Answer each list of files with the pixels of its largest image, or the error, until the other end is closed."""
    ignore_interrupt()
    _warm_up()
    connection.send(READY)
    while True:
        try:
            sources: Sequence[Path] = connection.recv()
        except (EOFError, OSError):
            return
        answer: int | InputError | _Fault
        try:
            answer = largest_image(sources)
        except InputError as error:
            answer = error
        except Exception:
            answer = _Fault(traceback.format_exc())
        connection.send(answer)


def _warm_up() -> None:
    """Look up the size of a raster of one pixel, so that the first request does not wait for the raster library."""
    import rasterio
    from rasterio.transform import from_origin

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "warm_up.tif"
        options = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 1, "height": 1}
        with rasterio.open(path, "w", **options, crs="EPSG:4326", transform=from_origin(0.0, 1.0, 1.0, 1.0)):
            pass
        largest_image([path])


def largest_image(sources: Sequence[Path]) -> int:
    """Return the pixels of one band of the largest image of a scene.

    Args:
        sources: Its files, or one SAFE folder or one zip.

    Raises:
        InputError: A file is not a GeoTIFF, or a folder or zip is not a product.
    """
    from drshym_pipeline.sar.archives import packed_sizes
    from drshym_pipeline.sar.safe_open import open_scene_file
    from drshym_pipeline.sar.safe_product import is_zip_name, product_folder, product_images

    folder = product_folder(sources[0]) if len(sources) == 1 else None
    sizes: list[tuple[int, int]] = []
    for path in sources if folder is None else product_images(folder):
        if folder is None and is_zip_name(path.name):
            sizes += packed_sizes(path)
        else:
            with open_scene_file(path) as dataset:
                sizes.append((dataset.width, dataset.height))
    return max((width * height for width, height in sizes), default=0)


class SceneSizes:
    """Looks up sizes. Its calls block and may come from several threads.

    Args:
        processes: The number of processes.
        seconds: The time limit of one scene, and of its wait for a process.
    """

    def __init__(self, processes: int = _PROCESSES, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self.pool = HelperPool(_serve, "drshym-sizes", processes, seconds)

    def pixels(self, sources: Sequence[Path], name: str) -> int:
        """Return the pixels of one band of the largest image of a scene.

        Args:
            sources: Its files, or one SAFE folder or one zip.
            name: What an error calls the scene.

        Raises:
            InputError: A file is not a GeoTIFF, or a folder or zip is not a product.
            ProblemError: The process that looked at the scene has ended, or it took too long.
        """
        try:
            answer = self.pool.ask(tuple(sources))
        except NoFreeProcessError as error:
            text = "The service looks at other scenes. Try again in some seconds."
            raise ProblemError("not_ready", text, {"Retry-After": "5"}) from error
        except TimeLimitError as error:
            text = f"{name}: its header was not read within {self._seconds:g} seconds. Copy the file again."
            raise ProblemError("time_limit", text) from error
        except ProcessEndedError as error:
            text = f"{name}: the process that read its header ended. Look for damage in the file, then send it again."
            raise ProblemError("worker_ended", text) from error
        if isinstance(answer, InputError):
            raise answer
        if isinstance(answer, _Fault):
            raise RuntimeError(answer.text)
        return int(answer)
