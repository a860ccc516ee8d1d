"""The shipped checkpoint is the first champion; a newer one that the package brings is a candidate."""

from dataclasses import replace
from pathlib import Path

import pytest

from drshym_pipeline.model import bundle as bundle_module
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.choice import choose_model
from drshym_pipeline.model.service_record import ModelInService, in_service_record
from resources.build import build_resources
from resources.registry import CHAMPION, ModelRegistry
from tests.lineage import Lineage

pytestmark = pytest.mark.system  # a registry and a whole training


def variant(bundle: ModelBundle, version: str) -> ModelBundle:
    """The same network as another model."""
    record = bundle.record.model_copy(update={"version": version})
    return replace(bundle, record=record, document=record.model_dump(mode="json"))


def ship(patch: pytest.MonkeyPatch, bundle: ModelBundle, folder: Path) -> None:
    """Let the package bring another checkpoint."""
    saved = bundle.save(folder)
    patch.setattr(bundle_module, "shipped_path", lambda: saved)


def follow(lineage: Lineage) -> ModelInService:
    """Materialise `flood_model` and return what is in service."""
    assert lineage.run("put_in_service").success
    record = in_service_record(lineage.store.path)
    assert record is not None
    return record


def test_a_newer_shipped_checkpoint_is_a_candidate_and_changes_no_map_before_a_reviewer_agrees(
    random_bundle: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lineage = Lineage(tmp_path / "home")
    registry: ModelRegistry = build_resources(lineage.settings, Path())["registry"]
    ship(monkeypatch, random_bundle, tmp_path / "first")

    first = follow(lineage)
    assert first.reference == random_bundle.reference("shipped")
    assert follow(lineage) == first
    assert [(found.version, found.source, found.considered) for found in registry.versions()] == [
        ("1", "shipped", True)
    ]
    champion = registry.champion()
    assert champion is not None
    assert champion.version == "1"

    newer = variant(random_bundle, "0.0.2")
    ship(monkeypatch, newer, tmp_path / "second")
    assert follow(lineage) == first, "an upgrade of the package changed the model in service without a review"
    candidate = registry.candidate()
    assert candidate is not None
    assert (candidate.version, candidate.sha256, candidate.source) == ("2", newer.sha256, "shipped")
    monkeypatch.setenv("DRSHYM_STORE", str(lineage.store.path))
    assert "the package now has" in choose_model().reason
    assert newer.version in choose_model().reason
    assert follow(lineage) == first
    assert [found.version for found in registry.versions()] == ["2", "1"]

    registry.set_alias(CHAMPION, "2")
    assert follow(lineage).reference == newer.reference("shipped")
    assert "the package now has" not in choose_model().reason
    registry.set_alias(CHAMPION, "1")
    assert follow(lineage).reference.sha256 == random_bundle.sha256, "a reviewer's step back is not undone"

    trained = variant(random_bundle, "mine")
    run = registry.start_run("mine", {})
    mine = registry.register(
        run,
        trained.save(tmp_path / "mine"),
        sha256=trained.sha256,
        verdict="better",
        card="",
        tags={"source": "training"},
    )
    registry.set_alias(CHAMPION, mine.version)
    chosen = follow(lineage)
    assert chosen.reference == trained.reference("registry")

    ship(monkeypatch, variant(random_bundle, "0.0.3"), tmp_path / "third")
    assert follow(lineage) == chosen
    assert [found.version for found in registry.versions()] == ["4", "3", "2", "1"]
    champion = registry.champion()
    assert champion is not None
    assert champion.version == mine.version


def test_a_model_put_in_service_by_hand_stays(
    random_bundle: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lineage = Lineage(tmp_path / "home")
    ship(monkeypatch, random_bundle, tmp_path / "shipped")
    mine = variant(random_bundle, "mine")
    lineage.serve(mine)
    assert follow(lineage).reference == mine.reference("checkpoint")
    registry: ModelRegistry = build_resources(lineage.settings, Path())["registry"]
    assert registry.champion() is None
    candidate = registry.candidate()
    assert candidate is not None
    assert candidate.sha256 == random_bundle.sha256
