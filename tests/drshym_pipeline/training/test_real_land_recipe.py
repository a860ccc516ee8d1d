"""Recipes with `real_land`: the command trains on the packaged patches and names them, and says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.cli import main
from drshym_pipeline.datasets.crops import ChipStore
from drshym_pipeline.datasets.real_land import RealLand
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.datasets.sources import prepare_sources
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.settings import DataConfig, SimulatedData

_NETWORK = "network: {encoder: resnet18, stem: half, decoder_channels: [16, 8, 8]}\n"
_STEPS = "training: {crop: 128, batch_size: 2, max_steps: 2, validate_every: 2, warmup_steps: 1}\n"


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = SimulatedData(train=2, valid=3, test=1, hard=0, size=128)
    return write_dataset(tmp_path_factory.mktemp("chips") / "set", sizes)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRSHYM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def run(folder: Path, chips: Path, source: str) -> int:
    """Train with one additional source; the exit code of the command."""
    recipe = folder / "recipe.yaml"
    data = f"data: {{kind: sen1floods11, root: {chips}, sources: [{source}]}}\n"
    recipe.write_text("name: mixed\n" + data + _NETWORK + _STEPS)
    return main(["train", "--config", str(recipe), "--out", str(folder / "run")])


def test_the_command_trains_on_the_packaged_patches_and_every_card_names_them(tmp_path: Path, chips: Path):
    assert run(tmp_path, chips, "{kind: real_land, weight: 0.5, label_weight: 0.8}") == 0
    card = ModelBundle.load(tmp_path / "run" / "bundle").card
    assert "together with real_land, validated on 3" in card.training_data
    assert card.data is not None
    (beside,) = card.data.beside
    assert beside.startswith("real_land: 50 % of the crops, labels worth 0.8 of a hand label. Source: Real Sentinel-1")
    assert "CDLA-Permissive-1.0" in beside
    assert "CC BY 4.0" in beside
    for name, words in (("MODEL_CARD.md", "together with real_land"), ("DATASET_CARD.md", "SEN12MS-CR")):
        assert words in (tmp_path / "run" / "bundle" / name).read_text("utf-8")
    assert not any("not trained on a real pixel" in limit for limit in card.limits)


def test_places_can_be_chosen_and_their_chips_have_both_bands():
    source = {"kind": "real_land", "weight": 0.2, "events": ["vojvodina", "jiangsu"]}
    (found,) = prepare_sources(DataConfig.model_validate({"sources": [source]}))
    assert [ref.chip_id for ref in found.refs] == ["ben_332111", "ben_7118", "glfcr_fall_139_p839"]
    assert (found.weight, found.label_weight, found.sha256) == (0.2, 0.5, RealLand().sha256())
    store = ChipStore(found.refs)
    assert list(store.bands) == [2, 2, 2]
    assert (store.labelled_pixels > 10_000).all()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{kind: real_land, weight: 0}", "key 'data.sources.0.weight': input should be greater than 0"),
        ("{kind: real_land, weight: 1}", "key 'data.sources.0.weight': input should be less than 1"),
        ("{kind: real_land, label_weight: 0}", "key 'data.sources.0.label_weight': input should be greater than 0"),
        ("{kind: real_lands}", "sources.0.kind': input should be 'etci2021', 'ombria', 'emsr763' or 'real_land'"),
        ("{kind: ombria}", "root must be given: the set ombria does not come with the package"),
        (
            "{kind: real_land, root: nowhere}",
            "nowhere: does not have the layout of real_land: there is no patches.csv.",
        ),
        ("{kind: ombria, root: nowhere}", "nowhere: does not have the layout of OMBRIA"),
        ("{kind: real_land, events: [atlantis]}", "data.sources.0.events: {root} has no event 'atlantis'. Use: arch"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_in_one_line_before_the_chips_are_made(
    tmp_path: Path, source: str, words: str, capfd: pytest.CaptureFixture[str]
):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"data: {{kind: simulated, sources: [{source}]}}\n" + _NETWORK + _STEPS)
    assert main(["train", "--config", str(recipe), "--out", str(tmp_path / "run")]) == 2
    printed = capfd.readouterr().err.strip()
    assert words.replace("{root}", str(RealLand().root)) in printed
    assert len(printed.splitlines()) == 1
    assert not (tmp_path / "run").exists()
