"""`configs/sen1floods11.yaml` from start to end on a small set in the official layout, without the real data.

The chips are simulated; their names, folders and lists are the official ones.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.model_card import measured, write_cards
from drshym_pipeline.cli import main
from drshym_pipeline.datasets.sen1floods11 import HAND_FOLDER, HAND_SPLITS, Sen1Floods11, split_file
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.model_card import score_text
from drshym_pipeline.model.network import build_network
from drshym_pipeline.records import Score
from drshym_pipeline.settings import NetworkConfig, SimulatedData

RECIPE = Path(__file__).resolve().parents[2] / "configs" / "sen1floods11.yaml"
OFFICIAL = {
    "train": ("Ghana_103272", "India_1017769", "Mekong_1111068", "Pakistan_1027214"),
    "valid": ("Ghana_5079", "Spain_6199994"),
    "test": ("Ghana_313799", "Sri-Lanka_249079"),
    "bolivia": ("Bolivia_103757",),
}
WEAK = ("Mali_1015377", "Colombia_1060414", "Bolivia_1044197")
WEAK_FOLDER = Path("data/flood_events/WeaklyLabeled")

# The chips are simulated: the layout of a set says nothing about where chips come from.
ORIGIN = "of unknown origin, in the layout of Sen1Floods11"


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set: hand-labelled chips with their four lists, and weakly labelled ones in another folder."""
    place = tmp_path_factory.mktemp("official")
    count = sum(len(names) for names in OFFICIAL.values()) + len(WEAK)
    sizes = SimulatedData(train=count, valid=1, test=1, hard=0, size=64)
    sources = [ref.chip_id for ref in Sen1Floods11(write_dataset(place / "made", sizes)).chips("train")]
    made, root = place / "made" / HAND_FOLDER, place / "v1.1"
    names = iter(sources)
    for split, chips in OFFICIAL.items():
        for chip in chips:
            source = next(names)
            for made_folder, folder in (
                ("S1Hand", "S1Hand"),
                ("LabelHand", "LabelHand"),
                ("PermanentWaterSim", "JRCWaterHand"),
            ):
                target = root / HAND_FOLDER / folder / f"{chip}_{folder}.tif"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(made / made_folder / f"{source}_{made_folder}.tif", target)
        rows = "".join(f"{chip}_S1Hand.tif,{chip}_LabelHand.tif\n" for chip in chips)
        table = root / HAND_SPLITS / split_file(split)
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(rows)
    for chip in WEAK:
        source = next(names)
        for made_folder, folder in (("S1Hand", "S1Weak"), ("LabelHand", "S1OtsuLabelWeak")):
            target = root / WEAK_FOLDER / folder / f"{chip}_{folder}.tif"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made / made_folder / f"{source}_{made_folder}.tif", target)
    return root


def recipe(official: Path, folder: Path, **changes: Any) -> Path:
    """The recipe of the repository with another root, a few steps and small crops; `changes` are dotted keys."""
    values = yaml.safe_load(RECIPE.read_text("utf-8"))
    short = {"crop": 64, "batch_size": 2, "max_steps": 2, "validate_every": 2, "warmup_steps": 1, "workers": 0}
    values["training"] |= short
    values["data"]["root"] = str(official)
    values["evaluation"]["bootstrap"] = 100
    for key, value in changes.items():
        section, name = key.split("__")
        values[section][name] = value
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    return path


@pytest.fixture(scope="module")
def trained(official: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the hand labels from a random start."""
    out = tmp_path_factory.mktemp("hand")
    assert main(["train", "--config", str(recipe(official, out)), "--out", str(out / "run")]) == 0
    return out / "run"


def test_training_on_hand_labels_from_a_random_start_makes_a_model_with_its_data_on_its_card(trained: Path) -> None:
    bundle = ModelBundle.load(trained / "bundle")
    assert bundle.card.training_data.startswith(
        "4 chips (hand labels) of unknown origin, in the layout of Sen1Floods11, validated on 2"
    )
    card = (trained / "bundle" / "DATASET_CARD.md").read_text("utf-8")
    assert "Sen1Floods11" in card
    assert "| train | 4 | 4 |" in card


@pytest.mark.parametrize("split", ["test", "bolivia"])
def test_the_trained_model_is_scored_on_the_official_splits_with_intervals(
    official: Path, trained: Path, tmp_path: Path, split: str
) -> None:
    command = ["evaluate", "--data", str(official), "--checkpoint", str(trained / "bundle"), "--split", split]
    assert main([*command, "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "evaluation.json").read_text("utf-8"))
    assert [chip["chip"] for chip in found["chips"]] == list(OFFICIAL[split])
    assert found["pooled"]["iou"]["chips"] == len(OFFICIAL[split])
    assert "## Scores" in (tmp_path / "evaluation.md").read_text("utf-8")


def test_training_on_combined_labels_from_a_bundle_starts_with_its_weights_and_leaves_the_unseen_event_out(
    official: Path, trained: Path, tmp_path: Path
) -> None:
    changes = {"data__labels": "combined", "network__start": str(trained / "bundle")}
    config = recipe(official, tmp_path, **changes, training__learning_rate=1e-12, training__weight_decay=0.0)
    assert main(["train", "--config", str(config), "--out", str(tmp_path / "run")]) == 0
    bundle = ModelBundle.load(tmp_path / "run" / "bundle")
    assert bundle.card.training_data.startswith(
        "6 chips (combined labels) of unknown origin, in the layout of Sen1Floods11, validated on 2"
    )
    assert bundle.card.data is not None
    assert bundle.card.data.splits["train"].events == 6, "Bolivia's weak chips stay out"
    before, after = ModelBundle.load(trained / "bundle").state(), bundle.state()
    kernels = [name for name, parameter in build_network(bundle.network).named_parameters() if parameter.ndim == 4]
    assert all(abs(before[name] - after[name]).max() < 1e-3 for name in kernels)


def test_another_seed_is_another_run_of_the_same_name(
    official: Path, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = recipe(official, tmp_path)
    assert main(["train", "--config", str(config), "--seed", "7", "--out", str(tmp_path / "run")]) == 0
    first, second = ModelBundle.load(trained / "bundle"), ModelBundle.load(tmp_path / "run" / "bundle")
    assert first.name == second.name
    assert first.sha256 != second.sha256
    assert second.record.training is not None
    assert second.record.training["seed"] == 7
    assert main(["train", "--config", str(config), "--seed", "8", "--out", str(tmp_path / "run")]) == 2
    assert "contains a training run that differs in 'seed'" in capfd.readouterr().err


def test_a_start_that_must_be_downloaded_says_what_to_do_without_a_connection(
    official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", "/nonexistent")
    config = recipe(official, tmp_path, network__start="imagenet", network__encoder="resnet34")
    assert main(["train", "--config", str(config), "--out", str(tmp_path / "run")]) == 2
    shown = capfd.readouterr().err
    assert "network.start: the imagenet weights of 'resnet34' cannot be fetched" in shown
    assert "start: random" in shown
    assert not (tmp_path / "run").exists()


def test_the_start_from_the_shipped_checkpoint_needs_its_architecture(
    official: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = recipe(official, tmp_path, network__start="shipped", network__encoder="resnet34")
    assert main(["train", "--config", str(config), "--out", str(tmp_path / "run")]) == 2
    assert "another architecture" in capfd.readouterr().err


@pytest.fixture(scope="module")
def benchmarked(official: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole card of the trained model on the test split and the unseen event."""
    out = tmp_path_factory.mktemp("card")
    command = ["benchmark", "--data", str(official), "--checkpoint", str(trained / "bundle"), "--out", str(out)]
    assert main([*command, "--split", "test", "--split", "bolivia"]) == 0
    return out


def test_the_card_has_both_splits_in_both_band_modes_and_baselines_on_the_same_pixels(benchmarked: Path) -> None:
    card = json.loads((benchmarked / "card.json").read_text("utf-8"))
    assert {(part["split"], part["bands"]) for part in card["parts"]} >= {
        ("test", "VV+VH"),
        ("bolivia", "VV"),
    }
    for part in card["parts"]:
        assert [chip["chip"] for chip in part["evaluation"]["chips"]] == list(OFFICIAL[part["split"]])
        assert part["evaluation"]["baselines"]


def test_the_page_of_the_model_card_has_the_figures_of_the_benchmark(
    benchmarked: Path, trained: Path, tmp_path: Path
) -> None:
    bundle = ModelBundle.load(trained / "bundle")
    card = json.loads((benchmarked / "card.json").read_text("utf-8"))
    write_cards(bundle, tmp_path / "checkpoint", measured(card, bundle.sha256), tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text("utf-8")
    assert page == (tmp_path / "checkpoint" / "MODEL_CARD.md").read_text("utf-8")
    for part in card["parts"]:
        mean = Score.model_validate(part["evaluation"]["mean_chip_iou"])
        assert f"| {score_text(mean)} |" in page
    assert "## Ethics" in page
    with pytest.raises(InputError, match="Run `make card` first"):
        measured(card, "0" * 64)


def copied(official: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(official, tmp_path / "v1.1"))


def chip_file(root: Path, folder: str, chip: str) -> Path:
    return root / HAND_FOLDER / folder / f"{chip}_{folder}.tif"


def rewrite(path: Path, *, bands: int | None = None, shift: float = 0.0) -> None:
    """Write a raster again with fewer bands, or moved by pixels."""
    import rasterio
    from affine import Affine

    with rasterio.open(path) as source:
        pixels, profile = source.read()[:bands], source.profile
    profile |= {"count": len(pixels), "transform": profile["transform"] @ Affine.translation(shift, 0)}
    with rasterio.open(path, "w", **profile) as target:
        target.write(pixels)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_list_that_names_a_missing_chip_stops_the_training_whatever_the_split(
    official: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], split: str
) -> None:
    root = copied(official, tmp_path)
    chip_file(root, "S1Hand", OFFICIAL[split][-1]).unlink()
    assert main(["train", "--config", str(recipe(root, tmp_path)), "--out", str(tmp_path / "run")]) == 2
    shown = capfd.readouterr().err
    assert f"the chip '{OFFICIAL[split][-1]}' named by" in shown
    assert split_file(split) in shown
    assert not (tmp_path / "run").exists()


def test_a_missing_weak_label_stops_a_training_on_combined_labels(
    official: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = copied(official, tmp_path)
    (root / WEAK_FOLDER / "S1OtsuLabelWeak" / f"{WEAK[0]}_S1OtsuLabelWeak.tif").unlink()
    config = recipe(root, tmp_path, data__labels="combined")
    assert main(["train", "--config", str(config), "--out", str(tmp_path / "run")]) == 2
    assert f"{WEAK[0]}_S1OtsuLabelWeak.tif" in capfd.readouterr().err


def test_a_label_of_another_grid_is_named_with_its_image(
    official: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = copied(official, tmp_path)
    label = chip_file(root, "LabelHand", OFFICIAL["valid"][0])
    rewrite(label, shift=3.0)
    assert main(["train", "--config", str(recipe(root, tmp_path)), "--out", str(tmp_path / "run")]) == 2
    shown = capfd.readouterr().err
    assert label.name in shown
    assert "Write the label on the image's grid" in shown
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_chip_without_its_vh_band_is_named_where_both_bands_are_asked_for(
    official: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], split: str
) -> None:
    root = copied(official, tmp_path)
    image = chip_file(root, "S1Hand", OFFICIAL[split][0])
    rewrite(image, bands=1)
    assert main(["train", "--config", str(recipe(root, tmp_path)), "--out", str(tmp_path / "run")]) == 2
    shown = capfd.readouterr().err
    assert f"{image.name}: has no VH band" in shown
    assert "network.bands: vv" in shown
    assert not (tmp_path / "run").exists()


def test_a_folder_without_the_layout_is_refused_saying_what_is_expected(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    assert main(["train", "--config", str(recipe(tmp_path, tmp_path)), "--out", str(tmp_path / "run")]) == 2
    shown = capfd.readouterr().err
    assert "does not have the layout of Sen1Floods11" in shown
    assert "HandLabeled/S1Hand" in shown


def test_the_unchanged_recipe_fits_the_data_set(official: Path) -> None:
    values = yaml.safe_load(RECIPE.read_text("utf-8"))
    assert values["data"]["kind"] == "sen1floods11"
    assert values["evaluation"]["floors"]["sen1floods11"] == {"iou": 0.55, "f1": 0.70}
    assert Sen1Floods11(official).splits() == ("bolivia", "test", "train", "valid", "weak")
    build_network(NetworkConfig.model_validate(values["network"]))
