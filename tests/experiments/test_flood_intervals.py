"""The intervals of the flooded area: added to a sealed bundle, measured on pairs, fitted on other events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drshym_pipeline.assessment.flood_interval import ChipPair, LabelledPair
from drshym_pipeline.assessment.pair_signs import PairCounts, PartCounts
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import WEIGHTS_FILE, ModelBundle
from drshym_pipeline.settings import NetworkConfig, SimulatedData, TrainConfig, TrainingConfig
from drshym_pipeline.storage import read_json, write_json
from drshym_pipeline.training.mode_calibration import CALIBRATION_FILE
from drshym_pipeline.training.sealing import THRESHOLDS_FILE, seal
from drshym_pipeline.training.train import train
from experiments.__main__ import main
from experiments.flood_intervals import Held, Measured, by_event, held, row
from experiments.flood_pairs import chip_pairs
from tests.flood_errors import part, with_flood


@pytest.fixture(scope="module")
def chips(tmp_path_factory) -> Sen1Floods11:
    root = tmp_path_factory.mktemp("chips") / "set"
    return Sen1Floods11(write_dataset(root, SimulatedData(train=4, valid=21, test=3, hard=0, size=64)))


@pytest.fixture(scope="module")
def sealed(tmp_path_factory, chips) -> Path:
    recipe = TrainConfig(
        name="tiny",
        network=NetworkConfig(stem="half", decoder_channels=(16, 8, 8)),
        training=TrainingConfig(crop=64, batch_size=2, max_steps=2, validate_every=2, warmup_steps=1),
    )
    folder = tmp_path_factory.mktemp("run")
    seal(recipe, chips, train(recipe, chips, folder / "checkpoint"), folder / "bundle")
    return folder / "bundle"


def table(text: str) -> dict[str, list[str]]:
    """Return the cells of each row of a Markdown table by the first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {first: rest for first, *rest in rows[2:]}


def test_the_intervals_are_added_to_a_bundle_and_nothing_else_changes(sealed, chips, tmp_path, capsys):
    original = ModelBundle.load(sealed)
    folder = tmp_path / "earlier"
    with_flood(original, None).save(folder)
    calibration = read_json(sealed / CALIBRATION_FILE)
    for entry in calibration.values():
        del entry["area_errors"]["flood"]
    write_json(folder / CALIBRATION_FILE, calibration)
    (folder / THRESHOLDS_FILE).write_bytes((sealed / THRESHOLDS_FILE).read_bytes())
    out = tmp_path / "table.md"
    main(["flood-intervals", "--data", str(chips.root), "--add-to", str(folder), "--out", str(out)])
    for name in sorted(path.name for path in sealed.iterdir()):
        assert (folder / name).read_bytes() == (sealed / name).read_bytes(), name
    assert (folder / WEIGHTS_FILE).is_file()
    found = table(out.read_text())
    assert list(found) == [
        f"simulated test, {mode}, {name}" for mode in ("vv_vh", "vv") for name in ("flood", "other water")
    ]
    assert {cells[0] for cells in found.values()} == {"3"}
    assert out.read_text().strip() in capsys.readouterr().out


def test_the_pairs_of_chips_have_flood_and_other_water_apart(chips):
    (first, *_), refs = list(chip_pairs(chips.chips("test"))), chips.chips("test")
    assert first.event == refs[0].event
    assert first.now.shape == first.before.shape == (2, 64, 64)
    assert first.other is not None
    assert not (first.flood & first.other).any()
    with pytest.raises(InputError, match="has no scene from before the flood"):
        list(chip_pairs([replace(refs[0], ancillary={})]))


def measured(event: str, mapped: int, true: int, high: float = 0.5) -> Measured:
    """Return a pair of four quarters with 2,500 pixels each; mapped and true pixels of flood are in each of them."""
    counts = PairCounts(pixels=2500, flooded=PartCounts(mapped=mapped, mass=mapped * 10_000, uncertain=mapped * 1000))
    return Measured(ChipPair(event, (LabelledPair(counts, true, 0),) * 4), high)


def test_an_interval_is_compared_with_the_truth_and_with_the_rule_without_a_fit():
    interval = part(expected=1.0, factor=1.0)
    found = held(measured("a", 500, 520), "flooded", interval)
    assert found.mapped == pytest.approx(0.2)
    # The spread is 0.8 times the uncertain probabilities, a tenth of the mapped share, and the least spread.
    assert found.width == pytest.approx(2 * (0.8 * 0.02 + 0.0005))
    assert (found.holds, found.holds_without, found.width_without) == (True, True, 0.5)
    assert not held(measured("a", 500, 600), "flooded", interval).holds
    assert not held(measured("a", 500, 600, high=0.1), "flooded", interval).holds_without


def test_a_row_has_the_shares_that_hold_and_the_median_widths_of_mapped_pairs():
    results = [Held("a", holds, 0.2, mapped, True, 0.32) for holds, mapped in ((True, 0.1), (False, 0.4), (True, 0.0))]
    (name, *cells), *_ = [[cell.strip() for cell in row("x", results).strip("|").split("|")]]
    assert name == "x"
    assert cells == ["3", "0.667", "0.500", "1.25", "1.000", "2.00"]
    assert "| 1 | 1.000 | - | - |" in row("x", results[2:])


def test_an_event_is_not_among_those_that_its_interval_is_fitted_on():
    rng = np.random.default_rng(42)
    others = [measured(event, 500, int(rng.integers(480, 520))) for event in "abcdefghijk" for _ in range(2)]
    # Every pair of this event has no flood at all; with it in the fit, the interval would hold.
    rows = table("||\n||\n" + "\n".join(by_event([*others, *[measured("z", 500, 0)] * 2], [])))
    fitted = {name: cells for name, cells in rows.items() if name.startswith("z")}
    assert {cells[1] for cells in fitted.values()} == {"0.000"}
    assert len(rows) == 2 * 12


def picture(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def test_real_pairs_are_mapped_from_vv_alone(sealed, chips, tmp_path, capsys):
    rng = np.random.default_rng(42)
    dark = np.zeros((64, 64), bool)
    dark[:, :20] = True
    land = np.clip(180 + rng.normal(0, 12, dark.shape), 1, 254)
    tiles = tmp_path / "ombria" / "2021" / "FRANCE" / "Sentinel1"
    picture(tiles / "AFTER" / "imafter_7.png", np.where(dark, land / 3, land))
    picture(tiles / "BEFORE" / "imbefore_7.png", np.clip(180 + rng.normal(0, 12, dark.shape), 1, 254))
    picture(tiles / "MASK" / "gt_7.png", np.where(dark, 255, 0))
    for folder in ("POST_S1/VV_post", "PRE_S1/VV_pre", "POST_S1/VH_post", "PRE_S1/VH_pre"):
        picture(tmp_path / "emsr763" / folder / "a.png", land)
    picture(tmp_path / "emsr763" / "Labels" / "a.png", np.where(dark, 255, 0))
    main([
        "flood-intervals", "--data", str(chips.root), "--model", str(sealed), "--fit-ombria",
        "--ombria", str(tmp_path / "ombria"), "--emsr763", str(tmp_path / "emsr763"),
    ])  # fmt: skip
    found = table(capsys.readouterr().out)
    assert {"OMBRIA france, vv, flood", "OMBRIA, vv, flood", "EMSR763 tiles, vv, flood"} <= set(found)
    assert found["OMBRIA, vv, flood"] == found["OMBRIA france, vv, flood"]
    assert any("others and simulated pairs" in name for name in found)
