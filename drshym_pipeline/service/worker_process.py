"""What runs in a worker process: it loads the model, maps a warm-up scene, and then maps one scene after the other.

Mapping is `mapping.map_scene`, as for the command and the lineage graph; nothing else here knows what a map is. The
module is light to import, so that the service itself never loads the network.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from drshym_pipeline.errors import InputError, one_line
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import MapRecord, ModelReference
from drshym_pipeline.service.failures import failure_of
from drshym_pipeline.service.jobs import JobFailure, JobSpec
from drshym_pipeline.service.spawning import ignore_interrupt
from drshym_pipeline.storage import temporary_directory

if TYPE_CHECKING:
    from drshym_pipeline.model.choice import ChosenModel

# One tile of the default size: the network prepares itself for each size of tile.
_WARM_UP_SIDE: Final = 512
_LAND_DB, _WATER_DB, _SPECKLE_DB = (-9.0, -15.0), (-21.0, -27.0), 1.2
_PROGRESS_SECONDS: Final = 0.1
_LESS_PRIORITY: Final = 5  # so that the service answers at once while all cores map


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker needs to begin.

    Args:
        folder: Where the warm-up scene is mapped; must exist.
        checkpoint: Folder of a sealed model; the model in service, or the shipped one, when None.
        ancillary: Folder or address of long-term layers, or None.
        cores: Most threads of one job.
    """

    folder: Path
    checkpoint: Path | None
    ancillary: str | None
    cores: int


@dataclass(frozen=True)
class WorkOrder:
    """A job for a worker, with the number of threads to use."""

    job_id: str
    spec: JobSpec
    threads: int


@dataclass(frozen=True)
class Ready:
    """The model is loaded and the warm-up scene is mapped."""

    model: ModelReference


@dataclass(frozen=True)
class Unusable:
    """The worker cannot begin; it ends after this message."""

    detail: str


@dataclass(frozen=True)
class Progressed:
    """The progress of a job."""

    job_id: str
    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class Mapped:
    """A job is complete: the products are in its folder."""

    job_id: str
    record: MapRecord


@dataclass(frozen=True)
class NotMapped:
    """A job has failed; `log` is the traceback of a fault, empty for an input that cannot be used."""

    job_id: str
    failure: JobFailure
    log: str


Message: TypeAlias = Ready | Unusable | Progressed | Mapped | NotMapped


def run_worker(connection: Connection, setup: WorkerSetup) -> None:
    """Map the scenes that come through a pipe, until its other end is closed.

    Args:
        connection: Receives `WorkOrder`s, sends messages.
        setup: What the worker needs to begin.
    """
    ignore_interrupt()
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()
    os.nice(_LESS_PRIORITY)
    # A lock of the method "spawn" has a name in the system that stays when its process is killed, and the compressor of
    # the tile probabilities makes one. A worker starts no processes, so it needs no such locks.
    multiprocessing.set_start_method("fork", force=True)
    os.environ["OMP_NUM_THREADS"] = str(setup.cores)  # read by the libraries when they are loaded
    try:
        model = _prepare(setup)
    except Exception as error:
        if not isinstance(error, InputError):
            traceback.print_exception(error)
        connection.send(Unusable(one_line(error)))
        return
    connection.send(Ready(model.reference))
    while True:
        try:
            order = connection.recv()
        except EOFError:
            return
        connection.send(_answer(order, setup, model, connection))


def _end_with_parent() -> None:
    """End this process when its parent has ended, also in the middle of a scene that nobody waits for any more."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _prepare(setup: WorkerSetup) -> ChosenModel:
    """Load the model and map a simulated scene, so that all libraries are loaded and the network is prepared."""
    from rasterio.errors import NotGeoreferencedWarning

    from drshym_pipeline.model.choice import choose_model

    # The stored backscatter of a scene has no georeference; its record has it. A filter of the whole process also holds
    # for the threads that read tiles: those that they set themselves are not safe there.
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    model = choose_model(setup.checkpoint)
    _use_threads(setup.cores)
    with temporary_directory(setup.folder) as folder:
        scene = _write_warm_up_scene(folder / "warm_up.tif")
        # Twice: the first map prepares the network, the second one the memory that all later ones use again. As a job,
        # so that all modules of a job are imported; without the layers, which may be in a bucket that is not there now.
        for name in ("first", "second"):
            spec = JobSpec(scene_name=scene.stem, sources=(scene,), identity=name, out=folder / name)
            _map(spec, model, ancillary=None, progress=silent)
    return model


def _write_warm_up_scene(path: Path) -> Path:
    """Write land with a round lake, in dB with speckle, as large as one tile."""
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    rng = np.random.default_rng(0)
    side = _WARM_UP_SIDE
    rows, columns = np.mgrid[:side, :side]
    water = (rows - side / 2) ** 2 + (columns - side / 2) ** 2 < (side / 4) ** 2
    bands = [
        np.where(water, low, high) + rng.normal(0.0, _SPECKLE_DB, (side, side))
        for high, low in zip(_LAND_DB, _WATER_DB, strict=True)
    ]
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype="float32",
        count=len(bands),
        height=side,
        width=side,
        nodata=float("nan"),
        crs="EPSG:32633",
        transform=from_origin(500_000.0, 5_000_000.0, 10.0, 10.0),
    ) as target:
        target.write(np.stack(bands).astype(np.float32))
        target.descriptions = ("VV", "VH")
    return path


def _use_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _answer(order: WorkOrder, setup: WorkerSetup, model: ChosenModel, connection: Connection) -> Message:
    """Map the scene of an order, and return how it went."""
    spec = order.spec
    try:
        _use_threads(order.threads)
        record = _map(spec, model, ancillary=setup.ancillary, progress=_Reporter(order.job_id, connection))
    except Exception as error:
        failure = failure_of(error, spec)
        log = "" if failure.kind == "input" else "".join(traceback.format_exception(error))
        return NotMapped(order.job_id, failure, log)
    return Mapped(order.job_id, record)


def _map(spec: JobSpec, model: ChosenModel, *, ancillary: str | None, progress: Progress) -> MapRecord:
    """Map the scene of a job, and return the record of the map."""
    from drshym_pipeline.mapping import KnownScene, map_scene
    from drshym_pipeline.settings import PipelineSettings

    return map_scene(
        spec.sources,
        spec.out,
        model.bundle,
        model.reference,
        pre=spec.pre,
        ancillary=ancillary,
        limits=PipelineSettings.from_environment().terrain_limits,
        scene_id=spec.scene_name,
        units=spec.options.units,
        tile=spec.options.tile,
        overlap=spec.options.overlap,
        threshold=spec.options.threshold,
        min_area_ha=spec.options.min_area_ha,
        known=KnownScene(spec.source_uris),
        pre_known=KnownScene(spec.pre_uris),
        most_pixels=spec.most_pixels,
        backscatter=True,  # the page shows it, and its values at a click
        progress=progress,
    )


class _Reporter:
    """Sends the progress of a job: every stage, and within a stage not more often than a person can read it."""

    def __init__(self, job_id: str, connection: Connection) -> None:
        self._job_id, self._connection = job_id, connection
        self._stage, self._sent = "", 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage == self._stage and done < total and now - self._sent < _PROGRESS_SECONDS:
            return
        self._stage, self._sent = stage, now
        self._connection.send(Progressed(self._job_id, stage, done, total))
