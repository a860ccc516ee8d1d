"""Make the kept state of a release: what an instance of it leaves on disk, for the tests of later releases.

Run on a checkout of the release: `python -m tests.releases.make_state OUT.tar.xz`. Real services map small simulated
scenes with a small registered model, so that store, records, seen-set, run history and registry are what that release
writes. Paths in the state begin with a placeholder, which `tests.releases.state.unpack` replaces.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

SCENES = {"S1_20210111_first": 3, "S1_20210112_second": 5}
BAD_SCENE = "broken"
_PATIENCE_SECONDS = 900


def small_bundle() -> ModelBundle:
    """A sealed model of a few thousand weights with three values each: it compresses well and maps both classes."""
    import torch

    from drshym_pipeline.assessment.area import AreaErrorModel
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.model.network import build_network
    from drshym_pipeline.records import Calibration, ModelCard
    from drshym_pipeline.settings import NetworkConfig

    config = NetworkConfig(encoder="resnet18", decoder_channels=(8, 8, 8))
    torch.manual_seed(42)
    network = build_network(config).eval()
    state = {
        name: (value.sign() * 0.03125 if value.ndim == 4 else value) for name, value in network.state_dict().items()
    }
    network.load_state_dict(state)
    with torch.no_grad():
        logits = network(torch.rand(2, 3, 64, 64))
    T = max(float(logits.std()), 1e-3)
    errors = AreaErrorModel(floor=0.01, quantile=0.3, chips=24)
    calibration = Calibration(T=T, bias=-float(logits.median()) / T, threshold=0.45)
    return ModelBundle.create(
        name="small",
        version="0.0.1",
        network=config,
        state=network.state_dict(),
        calibration={"vv": calibration, "vv_vh": calibration},
        area_errors={"vv": errors, "vv_vh": errors},
        card=ModelCard(
            name="small",
            version="0.0.1",
            architecture="unet",
            encoder="resnet18",
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            bands="vv_vh",
            training_data="none",
            training_sha256="0" * 64,
            scores={},
            intended_use="tests",
            limits=("constant weights",),
        ),
        training_sha256="0" * 64,
    )


def make(home: Path) -> None:
    """Register a model, put it in service and let the daemon map what lies in the watched folder of `home`."""
    from dagster_graphql import DagsterGraphQLClient

    from definitions import CHECKOUT
    from deploy import local
    from drshym_pipeline.datasets.simulator.scene import simulate_scene
    from drshym_pipeline.datasets.simulator.writer import write_scene
    from drshym_pipeline.settings import PipelineSettings
    from resources.build import build_resources

    os.environ["DAGSTER_HOME"] = str(home)
    settings = PipelineSettings.from_environment()
    bundle = small_bundle()
    folder = bundle.save(home.parent / "small-bundle")
    registry = build_resources(settings, CHECKOUT)["registry"]
    run = registry.start_run("small", {})
    version = registry.register(
        run, folder, sha256=bundle.sha256, verdict="better", card="small", tags={"name": "small"}
    )
    registry.end_run(run)
    registry.set_alias("candidate", version.version)
    registry.set_alias("champion", version.version)
    registry.mark_considered(version.version)
    settings.inbox_path.mkdir(parents=True, exist_ok=True)
    extra = {"DRSHYM_NEW_SCENES_INTERVAL": "2", "DRSHYM_TILE": "128", "DRSHYM_OVERLAP": "16"}
    port = local.free_port()
    with local.dagster(home, port, extra), local.open_instance(home) as instance:
        client = DagsterGraphQLClient(local.HOST, port_number=port)
        served = client.submit_job_execution("put_in_service")
        _until(lambda: bool((found := instance.get_run_by_id(served)) and found.is_finished), "put_in_service")
        for name, seed in SCENES.items():
            source = write_scene(home.parent / "scenes", name, simulate_scene(seed, 90, 150))
            _drop(source, settings.inbox_path)
        broken = home.parent / "scenes" / f"{BAD_SCENE}.tif"
        broken.write_bytes(b"this is no TIFF")
        _drop(broken, settings.inbox_path)
        scenes = settings.store_path / "scenes"
        _until(lambda: all((scenes / name / "current.json").is_file() for name in SCENES), "the maps")
        _until((settings.store_path / "failures" / f"{BAD_SCENE}.json").is_file, "the failure record")
        _until(lambda: all(run.is_finished for run in instance.get_runs()), "the runs")


def _drop(source: Path, inbox: Path) -> None:
    """Copy a file into the watched folder, with a time of whole seconds: an archive keeps no finer one."""
    part = inbox / f"{source.name}.part"
    shutil.copyfile(source, part)
    moment = int(time.time())
    os.utime(part, (moment, moment))
    part.replace(inbox / source.name)


def _until(there: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not appear within {_PATIENCE_SECONDS} s")
        time.sleep(0.5)


def pack(home: Path, out: Path) -> None:
    """Write the state as one archive, with `PLACEHOLDER` for every path to `home`."""
    from tests.releases.state import PLACEHOLDER, relocate

    link = home / "dagster.yaml"
    if link.is_symlink():
        link.unlink()  # made again by whoever starts services on the state
    for database in home.rglob("*.db"):
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for leftover in (*home.rglob("*.db-wal"), *home.rglob("*.db-shm")):
        leftover.unlink()
    relocate(home, str(home), PLACEHOLDER)
    with tarfile.open(out, "w:xz", preset=9) as archive:
        archive.add(home, arcname="state")


def main() -> None:
    """Make the state in a temporary folder and pack it."""
    with tempfile.TemporaryDirectory(prefix="drshym-state-") as scratch:
        home = Path(scratch).resolve() / "home"
        make(home)
        pack(home, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
