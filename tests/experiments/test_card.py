"""The command that computes every figure of the shipped checkpoint's card, with a tiny recipe."""

from __future__ import annotations

import json

import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import shipped_bundle
from experiments import card

pytestmark = pytest.mark.system  # whole trainings

DATA = "data: {simulated: {train: 6, valid: 6, test: 3, hard: 0, wind: 3, size: 64}%s}\n"


@pytest.fixture
def recipes(tmp_path):
    recipe, original = tmp_path / "simulated.yaml", tmp_path / "original.yaml"
    recipe.write_text("name: tiny\n" + DATA % "")
    original.write_text(
        "name: original\n" + DATA % ", invalid_label: non_flood"
        + "network: {encoder: resnet18, stem: half, bands: vv, decoder_channels: [16, 8, 8]}\n"
        "training: {crop: 32, batch_size: 2, max_steps: 2, validate_every: 2, warmup_steps: 0, loss: bce}\n"
    )  # fmt: skip
    return ["--recipe", str(recipe), "--original", str(original), "--work", str(tmp_path / "work"),
            "--card", str(tmp_path / "card"), "--log", str(tmp_path / "log.csv")]  # fmt: skip


def test_the_card_compares_the_shipped_checkpoint_with_another_seed_and_the_originals_network(
    capsys, tmp_path, recipes, random_bundle
) -> None:
    random_bundle.save(tmp_path / "seeds" / "43")
    card.main([*recipes, "--seeds", str(tmp_path / "seeds"), "--no-real"])
    printed = capsys.readouterr().out
    assert printed.strip() == (tmp_path / "card" / "card.md").read_text().strip()
    document = json.loads((tmp_path / "card" / "card.json").read_text())
    assert [item["sha256"] for item in document["checkpoints"]] == [shipped_bundle().sha256, random_bundle.sha256]
    parts = [(part["split"], part["bands"]) for part in document["parts"]]
    assert parts == [(split, bands) for split in ("test", "wind", "train") for bands in ("VV+VH", "VV")]
    assert "real_land" in document["parts"][-1]["data"]
    assert not (tmp_path / "log.csv").exists(), "simulated chips are not for reporting only"
    trained = tmp_path / "work" / "original" / "bundle" / "model.safetensors"
    first = trained.stat().st_mtime_ns
    assert card.original_bundle(tmp_path / "original.yaml", tmp_path / "work").sha256 == document["compared"][
        "the original's network"
    ]["sha256"]  # fmt: skip
    assert trained.stat().st_mtime_ns == first, "a finished training is not repeated"


def test_a_missing_folder_of_real_chips_is_refused_without_the_option(monkeypatch, recipes) -> None:
    monkeypatch.delenv(card.REAL_DATA, raising=False)
    with pytest.raises(InputError, match=r"DRSHYM_REAL_DATA.*--no-real"):
        card.main(recipes)
