"""What the routes of one service share, and its start and stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

from anyio import CapacityLimiter
from fastapi import Depends, Request
from prometheus_client.core import Metric

from drshym_pipeline.errors import DrShymError
from drshym_pipeline.records import MapRecord
from drshym_pipeline.service import metrics
from drshym_pipeline.service.answers import scene_path
from drshym_pipeline.service.engine import MappingEngine
from drshym_pipeline.service.jobs import Job
from drshym_pipeline.service.limiting import RequestRate, UploadGate
from drshym_pipeline.service.map_tiles import TileServer
from drshym_pipeline.service.problems import ProblemError
from drshym_pipeline.service.retention import Limits, stored_maps, sweep
from drshym_pipeline.service.scene_sizes import SceneSizes
from drshym_pipeline.service.scenes import SceneCatalogue, ServedScene
from drshym_pipeline.service.settings import ServiceSettings

_SWEEP_SECONDS: Final = 600.0
_SWEEP_AFTER_MAP_SECONDS: Final = 20.0  # many small maps are followed by one sweep
_DISK_SECONDS: Final = 60.0
# Threads that only wait for a map. Those that do the work of other requests must never all wait.
_MOST_WAITING: Final = 64
_log = logging.getLogger(__name__)


class Service:
    """The parts of one service. `start` may be called once, in a thread; `stop` ends what was opened or started.

    Args:
        settings: Folders, limits and access.

    Raises:
        InputError: A setting cannot be used.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.uploads = settings.root.absolute() / "uploads"
        self.rate = RequestRate(settings.rate)
        self.gate = UploadGate(settings.uploads_at_once)
        self.metrics = metrics.ServiceMetrics()
        self.catalogue = SceneCatalogue(settings.root, settings.store)
        self.engine = MappingEngine(settings, self._publish, self._discard)
        self.tiles = TileServer()
        self.sizes = SceneSizes()
        self.started = False
        self.waiting = CapacityLimiter(_MOST_WAITING)
        self._end, self._map_made = threading.Event(), threading.Event()
        self._sweeper = threading.Thread(target=self._sweep_again_and_again, name="retention", daemon=True)
        self._disk: tuple[float, int] | None = None
        self.metrics.watch(self._figures)

    def open(self) -> None:
        """Take the folder of the service and read its list of jobs. Call it before the address is printed.

        Raises:
            InputError: The folder cannot be used.
        """
        self.engine.open()

    def start(self) -> None:
        """Make the folders and start the engine, the helper processes and the retention."""
        self.engine.start()
        self.uploads.mkdir(parents=True, exist_ok=True)
        self.tiles.pool.start()
        self.sizes.pool.start()
        self._sweeper.start()
        self.started = True

    def stop(self) -> None:
        """Stop everything that was opened or started. Jobs that run are queued again at the next start."""
        self._end.set()
        self._map_made.set()
        self.engine.stop()
        self.tiles.pool.stop()
        self.sizes.pool.stop()
        if self._sweeper.is_alive():
            self._sweeper.join()

    def not_ready(self) -> ProblemError:
        """Return the answer while no worker can map; it says why if they cannot begin."""
        problem = self.engine.problem if self.started else None
        detail = (
            "The workers load the model. Try again in some seconds."
            if problem is None
            else f"The workers cannot begin. {problem}"
        )
        return ProblemError("not_ready", detail, {"Retry-After": "2"})

    def scene(self, id: str) -> ServedScene:
        """Return a mapped scene.

        Raises:
            ProblemError: There is none with this id.
        """
        scene = self.catalogue.get(id)
        if scene is None:
            raise ProblemError("unknown_scene", "There is no scene with this id. /v1/scenes lists all scenes.")
        return scene

    def job(self, id: str) -> Job:
        """Return a job.

        Raises:
            ProblemError: There is none with this id.
        """
        job = self.engine.job(id)
        if job is None:
            raise ProblemError("unknown_job", "There is no job with this id. /v1/jobs lists all jobs.")
        return job

    def map_of(self, job: Job) -> ServedScene | None:
        """Return the map that a job has made; None if it has none, or the scene has been mapped again since."""
        if job.state != "done":
            return None
        scene = self.catalogue.get(job.spec.out.parent.name)
        return scene if scene is not None and scene.folder.name == job.spec.out.name else None

    def _publish(self, job: Job, record: MapRecord) -> None:
        """Show the map of a job; called when its files are complete."""
        self.catalogue.publish(job.spec.out.parent.name, job.spec.out.name)
        self.metrics.note_map(record.seconds)
        self._map_made.set()

    def _discard(self, job: Job) -> None:
        """Delete the folder of a job without a map, and its scene if that has no other."""
        self.catalogue.remove_folder(job.spec.out.parent.name, job.spec.out.name)

    def note_on(self, job: Job) -> str | None:
        """Return why a job that is done has no map any more; None for all other jobs."""
        if job.state != "done" or self.map_of(job) is not None:
            return None
        id = job.spec.out.parent.name
        if self.catalogue.get(id) is None:
            return "The map was deleted. Send the scene again to map it again."
        return f"The scene was mapped again, and the new map replaced this one: {scene_path(id)}"

    def folders_in_use(self) -> list[Path]:
        """Return the folders that jobs use which have not ended: of their maps and of their uploads."""
        return [path for job in self.engine.open_jobs() for path in (job.spec.out, *job.spec.uploads)]

    def _sweep_again_and_again(self) -> None:
        while True:
            self._map_made.clear()
            try:
                sweep(self.catalogue, self.uploads, Limits.of(self.settings), active=self.folders_in_use())
            except (OSError, DrShymError):
                _log.exception("the retention failed; it is tried again")
            self._map_made.wait(_SWEEP_SECONDS)  # a new map may be more than the quota allows
            if self._end.wait(_SWEEP_AFTER_MAP_SECONDS):
                return

    def _figures(self) -> Iterable[Metric]:
        """Return the figures of engine and disk for the page of metrics."""
        counts = self.engine.counts()
        jobs = {"queued": counts.queued, "running": counts.running}
        restarts = {str(reason): float(count) for reason, count in counts.restarts.items()}
        failed = {str(code): float(count) for code, count in counts.failed.items()}
        ended = {"done": counts.done, "cancelled": counts.cancelled, **failed}
        yield metrics.labelled_gauge("drshym_jobs", "Jobs that have not ended, by state", "state", jobs)
        yield metrics.labelled_counter("drshym_jobs_ended", "Jobs that have ended since the start", "how", ended)
        yield metrics.gauge("drshym_queue_length", "Jobs that wait", counts.queued)
        yield metrics.gauge("drshym_workers", "Processes that map", counts.workers)
        yield metrics.gauge("drshym_workers_ready", "Processes that can map", counts.ready)
        yield metrics.labelled_counter("drshym_worker_restarts", "Processes that were replaced", "reason", restarts)
        yield metrics.gauge("drshym_worker_bytes", "Memory of all processes that map", counts.worker_bytes)
        yield metrics.counter("drshym_mapping_seconds", "Time spent on jobs that are done", counts.seconds)
        yield metrics.gauge("drshym_disk_bytes", "Disk space of all maps of the service", self._disk_bytes())

    def _disk_bytes(self) -> int:
        """Return the size of all maps. It is measured once a minute at most, because every file is looked at."""
        moment = time.monotonic()
        if self._disk is None or moment - self._disk[0] > _DISK_SECONDS:
            self._disk = moment, sum(found.bytes for found in stored_maps(self.catalogue))
        return self._disk[1]


def _service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _running_service_of(request: Request) -> Service:
    service = _service_of(request)
    if not service.started:
        raise ProblemError("not_ready", "The service is starting. Try again in some seconds.", {"Retry-After": "2"})
    return service


AnyService = Annotated[Service, Depends(_service_of)]
"""The service of a request, also while it starts."""
RunningService = Annotated[Service, Depends(_running_service_of)]
"""The service of a request; while it starts the answer is 503."""
