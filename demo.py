"""Run the whole lineage on one laptop, offline, in some minutes: `make demo`.

It starts Dagster's daemon and web server on the local instance, puts the shipped checkpoint in service and runs the
training job, which continues the training of that checkpoint. Then it copies simulated scenes into the watched folder:
two from before a flood, and two of the flood (`deploy.demo_scenes`). It waits until the daemon's sensor has found and
mapped them, and prints the results. Finished work is not repeated. Everything that is started here is stopped here.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from deploy import local
from deploy.demo_scenes import SCENES, sidecar_path, simulate, truth_path
from deploy.supervisor import ServiceError
from deploy.watch import RunError, RunView, bars, console, follow, newest_attempt, tried_again
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import area_figure
from drshym_pipeline.scene_folder import MapFolder
from drshym_pipeline.scene_store import SceneStore
from drshym_pipeline.settings import PipelineSettings, TrainConfig, load_config
from drshym_pipeline.states import WATER_BEFORE, flooded_state
from drshym_pipeline.storage import read_json, sha256_json

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

ROOT = Path(__file__).resolve().parent
RECIPE = ROOT / "configs" / "demo.yaml"
RECIPE_TAG = "drshym/recipe"
TRAINING_STEPS = (
    "labelled_tiles",
    "trained_checkpoint",
    "calibration_temperature",
    "slice_reports",
    "candidate_model",
    "flood_model",
)
SERVICE_STEPS = ("flood_model",)
MAPPING_STEPS = ("raw_scenes", "tiles", "tile_probabilities", "stitched_scenes", "scene_reports")


class DemoError(RuntimeError):
    """The demo cannot continue; the message says why and where to find more."""


# --- training ------------------------------------------------------------------------------------------------------


def finished_training(instance: DagsterInstance, recipe: str) -> DagsterRun | None:
    """Return an earlier successful training run of the same recipe, or None."""
    from dagster import DagsterRunStatus, RunsFilter

    found = instance.get_runs(
        RunsFilter(job_name="train_model", statuses=[DagsterRunStatus.SUCCESS], tags={RECIPE_TAG: recipe}), limit=1
    )
    return found[0] if found else None


@dataclass(frozen=True)
class Services:
    """The running services, with what is needed to start and follow a job."""

    instance: DagsterInstance
    settings: PipelineSettings
    port: int
    check: Callable[[], None]

    def run_job(self, job: str, title: str, steps: tuple[str, ...], tags: dict[str, str]) -> None:
        """Run a job through the web server and wait for it, with a progress bar of that title and these steps."""
        from dagster_graphql import DagsterGraphQLClient

        run_id = DagsterGraphQLClient(local.HOST, port_number=self.port).submit_job_execution(job, tags=tags)

        def runs() -> dict[str, DagsterRun]:
            run = newest_attempt(self.instance, run_id)
            return {title: run} if run else {}

        with bars() as progress:
            follow(self.instance, self.settings, {title: RunView(progress, title, steps)}, runs, self.check)


def serve(services: Services) -> None:
    """Put a model in service: the shipped checkpoint, unless another one was promoted."""
    services.run_job("put_in_service", "serve", SERVICE_STEPS, {})


def train(services: Services) -> None:
    """Run the training job, unless this recipe has been trained before."""
    recipe = sha256_json(load_config(RECIPE, TrainConfig).model_dump(mode="json"))[:16]
    if earlier := finished_training(services.instance, recipe):
        console.print(f"  already trained by run {earlier.run_id[:8]}; this is not repeated")
        return
    services.run_job("train_model", "train", TRAINING_STEPS, {RECIPE_TAG: recipe})


def print_result(instance: DagsterInstance, asset: str, title: str, names: tuple[str, str]) -> None:
    """Print two entries of the metadata of an asset, such as the verdict and its reason."""
    from dagster import AssetKey

    event = instance.get_latest_materialization_event(AssetKey(asset))
    found = event.asset_materialization.metadata if event and event.asset_materialization else {}
    first, second = (str(found[name].value) if name in found else "not known" for name in names)
    console.print(f"  {title}: {first}. {second[:1].upper()}{second[1:]}", highlight=False)


def print_service(instance: DagsterInstance) -> None:
    """Print which model is in service, and why."""
    print_result(instance, "flood_model", "model in service", ("model", "reason"))


def print_verdict(instance: DagsterInstance) -> None:
    """Print the verdict on the candidate."""
    print_result(instance, "slice_reports", "verdict on the candidate", ("verdict", "reason"))


# --- new scenes ----------------------------------------------------------------------------------------------------


def demo_folder(settings: PipelineSettings) -> Path:
    """Return the folder where the demo's scenes are made."""
    return settings.home / "demo"


def latest_run(instance: DagsterInstance, scene: str) -> DagsterRun | None:
    """Return the newest run of a scene that the sensor requested, or its newest retry, which has the same tags."""
    from dagster import RunsFilter

    tags = {"dagster/partition": scene, "dagster/sensor_name": "new_scenes"}
    runs = instance.get_runs(RunsFilter(job_name="map_scene", tags=tags), limit=1)
    return runs[0] if runs else None


def _is_over(run: DagsterRun) -> bool:
    """Return whether a run has ended and is not retried."""
    return run.is_finished and not tried_again(run)


def make_scenes(settings: PipelineSettings) -> None:
    """Make the scenes that are not there yet, and the tiles of global layers below them."""
    folder = demo_folder(settings)
    for scene in SCENES:
        if not truth_path(folder, scene).is_file():
            simulate(folder, settings.home / "ancillary", scene)


def drop(settings: PipelineSettings, scene: str, earlier: DagsterRun | None) -> None:
    """Copy a scene into the watched folder, with its side-car if it has one, as an analyst would.

    A scene that is in the folder already is not copied again, unless an earlier run of it has ended without a map: the
    sensor does not map an unchanged file twice.
    """
    source = demo_folder(settings) / f"{scene}.tif"
    target = settings.inbox_path / source.name
    if target.is_file() and not (earlier and _is_over(earlier)):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    note = sidecar_path(source)
    if note.is_file():
        shutil.copyfile(note, sidecar_path(target))
    shutil.copyfile(source, target)
    console.print(f"  {source.name} copied into {short(target.parent)}", highlight=False)


def mapped(settings: PipelineSettings, scene: str) -> MapFolder | None:
    """Return the scene's newest finished map, or None."""
    found = SceneStore(settings.store_path).current(scene)
    return found if found and found.is_complete() else None


def map_scenes(
    instance: DagsterInstance, settings: PipelineSettings, scenes: Sequence[str], check: Callable[[], None]
) -> None:
    """Copy the scenes that have no map yet into the watched folder, and wait until the daemon has mapped them."""
    waiting = [scene for scene in scenes if mapped(settings, scene) is None]
    if not waiting:
        console.print("  they are mapped already; this is not repeated")
        return
    ended: set[str] = set()
    for scene in waiting:
        earlier = latest_run(instance, scene)
        drop(settings, scene, earlier)
        if earlier and _is_over(earlier):
            ended.add(earlier.run_id)

    def runs() -> dict[str, DagsterRun]:
        latest = {scene: latest_run(instance, scene) for scene in waiting}
        return {name: run for name, run in latest.items() if run and run.run_id not in ended}

    console.print("  waiting for the daemon's sensor (a file must be unchanged in two checks) ...")
    with bars() as progress:
        views = {scene: RunView(progress, scene, MAPPING_STEPS) for scene in waiting}
        follow(instance, settings, views, runs, check)


# --- the results ---------------------------------------------------------------------------------------------------


def short(path: Path) -> str:
    """Return a path relative to the checkout, if it is inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def result_table(settings: PipelineSettings) -> Table:
    """Return a table of the scenes with their areas, the intervals, the true areas and the files."""
    table = Table(title="Mapped scenes", title_justify="left", show_lines=True)
    for column in ("scene", "mapped", "simulated truth", "files"):
        table.add_column(column, overflow="fold")
    for scene in SCENES:
        found = mapped(settings, scene.name)
        if found is None:
            raise DemoError(f"{scene.name} has no finished map; `make ui` shows its runs")
        record = found.record()
        truth: dict[str, Any] = read_json(truth_path(demo_folder(settings), scene))
        before = None if record.separation is None else record.separation.other_water
        true = (("flooded", "flooded_km2"), (WATER_BEFORE, "other_water_km2"))
        areas = ((flooded_state(record.separation), record.flooded), (WATER_BEFORE, before))
        table.add_row(
            scene.name,
            "\n".join(f"{name}:\n  {'not known' if area is None else area.text()}" for name, area in areas),
            "\n".join(f"{name}:\n  {area_figure(truth[key])} km2" for name, key in true),
            f"{short(found.products)}/\n" + " ".join(name.removeprefix(scene.name) for name in record.files.values()),
        )
    return table


def next_steps() -> str:
    """Return the commands that a user may want to run next."""
    inbox = short(PipelineSettings.from_environment().inbox_path)
    return "\n".join(
        [
            "What to do next:",
            "  make ui                                        the lineage, the runs and the pictures in Dagster",
            "  make mlflow                                    the model registry",
            f"  {f'cp scene.tif {inbox}/':<46} map your own scene while `make ui` runs",
            "  .venv/bin/drshym segment scene.tif --out maps  map it without Dagster",
            "  .venv/bin/drshym status                        the model in service and the maps so far",
        ]
    )


def run() -> None:
    """Run the demo from start to end."""
    started = time.monotonic()
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(ROOT / ".dagster"))).resolve()
    settings = PipelineSettings.from_environment()
    settings.inbox_path.mkdir(parents=True, exist_ok=True)
    port = local.free_port()
    extra = {"DRSHYM_TRAIN_CONFIG": str(RECIPE), "DRSHYM_NEW_SCENES_INTERVAL": "5"}
    console.print("[bold]1 of 6[/bold]  starting Dagster's daemon and web server")
    with local.dagster(home, port, extra) as running:
        console.print(f"  {running.address} (until the demo ends; `make ui` opens it again)")
        with local.open_instance(home) as instance:
            console.print("[bold]2 of 6[/bold]  putting the shipped checkpoint in service: the job put_in_service")
            services = Services(instance, settings, port, running.check)
            serve(services)
            print_service(instance)
            console.print("[bold]3 of 6[/bold]  continuing its training with simulated scenes: the job train_model")
            train(services)
            print_verdict(instance)
            print_service(instance)
            console.print("[bold]4 of 6[/bold]  two scenes from before a flood in the watched folder: job map_scene")
            make_scenes(settings)
            map_scenes(instance, settings, [scene.before for scene in SCENES], running.check)
            console.print("[bold]5 of 6[/bold]  two scenes of the flood: separated from the water of before")
            map_scenes(instance, settings, [scene.name for scene in SCENES], running.check)
    console.print("[bold]6 of 6[/bold]  results")
    console.print(result_table(settings))
    console.print(next_steps(), highlight=False, soft_wrap=True)
    console.print(f"\nDone in {time.monotonic() - started:.0f} s; daemon and web server are stopped.", highlight=False)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run the demo and return its exit code: 0 if every scene is mapped, otherwise 1 with a reason."""
    # Without this a terminated demo would leave its daemon and web server running.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        run()
    except (DemoError, RunError, ServiceError, InputError) as error:
        console.print(f"error: {error}", style="red", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nstopped; finished work is kept, and `make demo` continues from there")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
