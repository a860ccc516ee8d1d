"""The code location with its own folder of state, used as the daemon uses it: ticks, run requests, jobs."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagster import (
    AssetKey,
    DagsterInstance,
    ExecuteInProcessResult,
    RunRequest,
    SensorResult,
    SkipReason,
    build_sensor_context,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from definitions import CHECKOUT, build_defs
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.service_record import write_in_service
from drshym_pipeline.settings import PipelineSettings
from resources.build import build_resources
from resources.store import ArtefactStore


class _Kept(logging.Handler):
    """Keeps the lines that a tick logs."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


# The tags of a run over a range of partitions.
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


class ExplicitSettings(PipelineSettings):
    """Settings that ignore the environment of the user who runs the tests."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *others: PydanticBaseSettingsSource,
        **more: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use only the arguments of the constructor."""
        del settings_cls, others, more
        return (init_settings,)


@dataclass
class Lineage:
    """One Dagster instance with its inbox, store and cursor.

    Args:
        home: Folder of all state.
        options: More settings.
    """

    home: Path
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = ExplicitSettings(home=self.home, **self.options)
        self.repository = build_defs(settings=self.settings).get_repository_def()
        self.instance = DagsterInstance.ephemeral()
        self.store = ArtefactStore(root=str(self.settings.store_path))
        self.inbox = self.settings.inbox_path
        self.inbox.mkdir(parents=True, exist_ok=True)
        self.cursor: str | None = None  # of the watched folder
        self._cursors: dict[str, str | None] = {}  # of the other sensors
        self.message: str | None = None
        self.logged: list[str] = []

    def serve(self, bundle: ModelBundle) -> None:
        """Put a model in service without a registry."""
        folder = bundle.save(self.store.path / "models" / bundle.sha256)
        write_in_service(self.store.path, folder, bundle.reference("checkpoint"), "for a test")

    def drop(self, source: Path, name: str | None = None) -> Path:
        """Copy a file into the watched folder."""
        target = self.inbox / (name or source.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return target

    def tick(self, sensor: str = "new_scenes") -> list[RunRequest]:
        """Run one tick of a sensor as the daemon does: keep the cursor and add partitions."""
        resources = build_resources(self.settings, CHECKOUT)
        watching = sensor == "new_scenes"
        cursor = self.cursor if watching else self._cursors.get(sensor)
        with build_sensor_context(
            instance=self.instance, cursor=cursor, repository_def=self.repository, resources=resources
        ) as context:
            self.logged = []
            context.log.addHandler(handler := _Kept(self.logged))
            outcome = self.repository.get_sensor_def(sensor)(context)
            context.log.removeHandler(handler)
            cursor = context.cursor
        self.message = outcome.skip_message if isinstance(outcome, SkipReason) else None
        if isinstance(outcome, SensorResult):
            cursor = outcome.cursor
        if watching:
            self.cursor = cursor
        else:
            self._cursors[sensor] = cursor
        if isinstance(outcome, SensorResult):
            for request in outcome.dynamic_partitions_requests or []:
                self.instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
            return list(outcome.run_requests or [])
        return [outcome] if isinstance(outcome, RunRequest) else []

    def run(self, job: str, partition: str | None = None, **options: Any) -> ExecuteInProcessResult:
        """Execute a job as the run coordinator does, and return its result whether it succeeded or not."""
        return self.repository.get_job(job).execute_in_process(
            instance=self.instance, partition_key=partition, raise_on_error=False, **options
        )

    def map_all(self, ticks: int = 2) -> dict[str, ExecuteInProcessResult]:
        """Run a tick and the requested runs, and return the results by partition."""
        results = {}
        for _ in range(ticks):
            for request in self.tick():
                assert request.partition_key is not None
                results[request.partition_key] = self.run("map_scene", request.partition_key, tags=request.tags)
        return results

    def backfill(self, partitions: Sequence[str], names: Sequence[str] | None = None) -> ExecuteInProcessResult:
        """Run assets over neighbouring partitions in one run, as the daemon does for a backfill.

        Args:
            partitions: Neighbours in the order they were added.
            names: Names of the assets; the whole chain by default.
        """
        selection = None if names is None else [AssetKey(name) for name in names]
        return self.repository.get_job("map_scene").execute_in_process(
            instance=self.instance,
            asset_selection=selection,
            raise_on_error=False,
            tags={RANGE_START: partitions[0], RANGE_END: partitions[-1]},
        )
