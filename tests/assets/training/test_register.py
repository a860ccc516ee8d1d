"""`drshym register`: a bundle of the command line in a real MLflow store in SQLite, up to its promotion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from assets.training.judgement import Judgement
from assets.training.model_in_service import put_in_service
from assets.training.promotion import Contender, decide
from assets.training.register import judgement_beside, register_bundle
from drshym_pipeline.cli import main
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import WEIGHTS_FILE, ModelBundle, shipped_bundle
from drshym_pipeline.model.service_record import in_service_record
from drshym_pipeline.storage import write_json
from resources.registry import NOT_JUDGED, ModelRegistry
from resources.store import ArtefactStore

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    home = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{home / 'mlflow.db'}"
    return ModelRegistry(tracking_uri=uri, artifact_root=str(home / "artifacts"), ui="http://127.0.0.1:5000")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ArtefactStore:
    return ArtefactStore(root=str(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, random_bundle: ModelBundle) -> Path:
    return random_bundle.save(tmp_path_factory.mktemp("run") / "bundle")


def write_verdict(bundle: Path, sha256: str, verdict: str) -> None:
    judgement = Judgement(verdict, "It was compared.", "the shipped one", sha256, [], {"test_iou": 0.5})
    write_json(bundle.parent / "verdict.json", asdict(judgement))


def test_the_newest_verdict_of_a_training_in_dagster_that_is_about_the_bundle_is_found(tmp_path: Path) -> None:
    bundle = tmp_path / "training" / "bundle"
    for number, (run, sha256, verdict) in enumerate(
        [("first", "a" * 64, "worse"), ("second", "a" * 64, "better"), ("other", "b" * 64, "broken")]
    ):
        judged = tmp_path / "training" / "judgements" / run
        Judgement(verdict, "It was compared.", "the shipped one", sha256, [], {}).save(judged)
        os.utime(judged / "verdict.json", (number, number))
    found = judgement_beside(bundle, "a" * 64)
    assert found is not None
    assert found.verdict == "better"
    assert judgement_beside(bundle, "c" * 64) is None


def test_a_bundle_becomes_the_candidate_once_is_judged_later_and_can_be_promoted(
    registry: ModelRegistry, store: ArtefactStore, bundle: Path, random_bundle: ModelBundle
) -> None:
    first = register_bundle(bundle, store, registry)
    assert (first.is_new, first.version.verdict) == (True, NOT_JUDGED)
    again = register_bundle(bundle / WEIGHTS_FILE, store, registry)
    assert (again.is_new, again.version.version) == (False, first.version.version)
    assert [found.sha256 for found in registry.versions()].count(random_bundle.sha256) == 1
    candidate, champion = registry.candidate(), registry.champion()
    assert candidate is not None
    assert champion is not None
    assert (candidate.version, candidate.sha256) == (first.version.version, random_bundle.sha256)
    assert champion.sha256 == shipped_bundle().sha256, "what it has to replace stands beside it"

    client = registry._client()
    version = client.get_model_version(registry.model_name, candidate.version)
    assert version.description.startswith(f"# {random_bundle.name} {random_bundle.version}")
    assert f"Verdict: {NOT_JUDGED}." in version.description
    assert version.tags["source"] == "command"
    run = client.get_run(candidate.run_id)
    assert run.info.status == "FINISHED"
    assert {file.path for file in client.list_artifacts(candidate.run_id, "cards")} == {
        "cards/MODEL_CARD.md",
        "cards/DATASET_CARD.md",
    }
    from mlflow.models import get_model_info

    signature = get_model_info(f"models:/{registry.model_name}/{candidate.version}").signature
    assert signature is not None
    assert signature.inputs.inputs[0].shape == (-1, -1, -1, -1)

    decision = decide(
        Contender(champion.version, champion.verdict, champion.considered, champion.source),
        Contender(candidate.version, candidate.verdict),
        "better",
    )
    assert decision.waiting, "a model that nobody judged is not promoted by a rule"

    write_verdict(bundle, "0" * 64, "better")
    assert register_bundle(bundle, store, registry).version.verdict == NOT_JUDGED, "that verdict is about another model"
    write_verdict(bundle, random_bundle.sha256, "worse")
    judged = register_bundle(bundle, store, registry)
    assert (judged.is_new, judged.version.version, judged.version.verdict) == (False, candidate.version, "worse")
    assert "Verdict: worse." in client.get_model_version(registry.model_name, candidate.version).description
    assert client.get_run(candidate.run_id).data.metrics["test_iou"] == 0.5

    registry.set_alias("champion", candidate.version)
    put_in_service(store, registry, candidate.version, "a reviewer chose it")
    served = in_service_record(store.path)
    assert served is not None
    assert served.reference.sha256 == random_bundle.sha256


def test_a_bundle_that_was_changed_is_not_registered(
    registry: ModelRegistry, store: ArtefactStore, bundle: Path, tmp_path: Path
) -> None:
    spoilt = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    (spoilt / WEIGHTS_FILE).write_bytes(b"other")
    before = len(registry.versions())
    with pytest.raises(InputError, match="do not match"):
        register_bundle(spoilt, store, registry)
    assert len(registry.versions()) == before


@pytest.mark.system
def test_the_command_registers_from_the_checkout(bundle: Path, random_bundle: ModelBundle, tmp_path: Path) -> None:
    """The command from start to end, in processes of its own, into the registry of the home that the user names."""
    command = [sys.executable, "-m", "drshym_pipeline", "register", str(bundle)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "DRSHYM_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Registered as drshym-flood version 2, alias candidate" in done.stdout
    assert f"sha256: {random_bundle.sha256}" in done.stdout
    assert "/#/models/drshym-flood/versions/2" in done.stdout
    uri = f"sqlite:///{tmp_path / 'home' / 'mlflow' / 'mlflow.db'}"
    found = ModelRegistry(tracking_uri=uri, artifact_root=str(tmp_path), ui="").candidate()
    assert found is not None
    assert found.sha256 == random_bundle.sha256


def test_without_the_checkout_the_command_says_what_it_needs(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from drshym_pipeline.commands import registering

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registering, "__file__", str(tmp_path / "site-packages" / "registering.py"))
    assert main(["register", str(bundle)]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "workspace.yaml" in line
    assert "inside the checkout" in line


def test_a_folder_without_a_bundle_is_named_before_anything_is_started(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["register", str(tmp_path)]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "not a model bundle" in line
