"""Held-out places: no fit sees its own place, both networks map the same patches, finished fits are kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from drshym_pipeline.assessment.metrics import COUNT_NAMES
from drshym_pipeline.datasets.chips import read_chip
from drshym_pipeline.datasets.real_land import COLUMNS, PACKAGED, TABLE, RealLand
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import shipped_path
from drshym_pipeline.settings import SimulatedData, TrainConfig
from experiments import fits
from experiments.leave_one_place_out import ALL_PLACES, Counts, Plan, guard_chips, main, recipe_without, sum_counts

_RECIPE = {
    "data": {"simulated": {"train": 4, "valid": 3, "test": 1, "hard": 0, "size": 64}},
    "network": {"stem": "half", "decoder_channels": [16, 8, 8]},
    "training": {"crop": 64, "batch_size": 2, "max_steps": 2, "validate_every": 2, "warmup_steps": 1},
}


@pytest.fixture
def two_places(tmp_path: Path) -> Path:
    """A set with three patches of two places."""
    folder = tmp_path / "patches"
    folder.mkdir()
    rows = [",".join(COLUMNS)]
    for patch in RealLand().patches:
        if patch.place in ("vojvodina", "archipelago-sea"):
            rows.append(f"{patch.patch},{patch.place},x,{patch.source},{patch.licence},x")
            for name in (f"{patch.patch}.tif", f"{patch.patch}_label.tif"):
                shutil.copyfile(PACKAGED / name, folder / name)
    (folder / TABLE).write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(_RECIPE))
    return path


def test_no_fit_is_trained_on_its_held_out_place_whatever_the_recipe_names():
    data = RealLand()
    values = {**_RECIPE, "data": {**_RECIPE["data"], "sources": [{"kind": "real_land", "weight": 0.1}]}}
    plan = Plan(TrainConfig.model_validate(values), shipped_path(), share=0.4, label_weight=0.9)
    for place in data.events():
        recipe = recipe_without(place, data, plan)
        (source,) = recipe.data.sources
        assert set(source.events) == set(data.events()) - {place}
        assert (source.weight, source.label_weight) == (0.4, 0.9)
        assert recipe.network.start == str(shipped_path())
        assert recipe.network.decoder_channels != (16, 8, 8), "the architecture is that of the start"


def test_a_single_place_cannot_be_held_out(two_places: Path):
    table = two_places / TABLE
    table.write_text(table.read_text().replace("archipelago-sea", "vojvodina"))
    plan = Plan(TrainConfig.model_validate(_RECIPE), shipped_path())
    with pytest.raises(InputError, match=r"has no other place than vojvodina\. Give at least two"):
        recipe_without("vojvodina", RealLand(two_places), plan)


def test_the_guard_has_water_under_wind_where_the_set_has_such_chips(tmp_path: Path):
    sizes = {"train": 1, "valid": 1, "test": 1, "size": 64}
    for name, more, split in (("both", {"hard": 1, "wind": 2}, "wind"), ("one", {"hard": 1, "wind": 0}, "hard")):
        folder = write_dataset(tmp_path / name, SimulatedData.model_validate({**sizes, **more}))
        assert {ref.split for ref in guard_chips(folder)} == {split}
    folder = write_dataset(tmp_path / "none", SimulatedData.model_validate({**sizes, "hard": 0}))
    with pytest.raises(InputError, match=r"none: has no split wind or hard\. Splits here: "):
        guard_chips(folder)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--share", "0"], "--share, --label-weight, --laid-water: key 'weight': input should be greater than 0"),
        (["--share", "1"], "key 'weight': input should be less than 1"),
        (["--steps", "0"], "--steps, --learning-rate: key 'max_steps': input should be greater than or equal to 1"),
        (["--start", "nowhere"], "nowhere: no such model bundle"),
        (["--guard", "nowhere"], "nowhere: does not have the layout of Sen1Floods11"),
        (["--data", "nowhere"], "there is no patches.csv. Leave --data out to use the set of the package"),
    ],
)
def test_options_that_cannot_be_used_are_refused_before_anything_is_trained(
    tmp_path: Path, config: Path, option: list[str], words: str, capsys: pytest.CaptureFixture[str]
):
    command = ["--start", "shipped", "--config", str(config), "--out", str(tmp_path / "out.json"), *option]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def _counts(chips: int, found: float) -> Counts:
    """Return counts of chips with water in 100 pixels, of which about a share is found, and 300 dry pixels."""
    tp = np.rint(100 * found + np.arange(chips) % 7).astype(int)
    frame = pd.DataFrame({"event": "wind", "mode": "vv", "tp": tp, "fp": tp // 9, "fn": 100 - tp, "tn": 300 - tp // 9})
    return {"vv": frame.set_index(pd.Index([f"chip {number}" for number in range(chips)], name="chip"))}


def test_the_counts_of_all_fits_are_added_per_chip():
    first, second = _counts(3, 0.5), _counts(3, 0.8)
    shuffled = {"vv": second["vv"].iloc[::-1]}
    (added,) = sum_counts([first, shuffled]).values()
    assert list(added["event"]) == ["wind"] * 3
    for name in COUNT_NAMES:
        assert list(added[name]) == [int(a + b) for a, b in zip(first["vv"][name], second["vv"][name], strict=True)]


@pytest.mark.system  # whole trainings
def test_every_place_is_mapped_by_start_and_fit_and_finished_fits_are_not_repeated(
    tmp_path: Path, config: Path, two_places: Path
):
    recipe = TrainConfig.model_validate(_RECIPE)
    start = tmp_path / "start"
    fits.fit(recipe, tmp_path / "chips", start)
    guard = write_dataset(tmp_path / "guard", SimulatedData(train=1, valid=1, test=1, hard=4, size=64))
    out = tmp_path / "table.json"
    command = ["--start", str(start / "bundle"), "--config", str(config), "--out", str(out), "--steps", "2"]
    command += ["--data", str(two_places), "--guard", str(guard), "--share", "0.5"]
    main(command)
    rows = json.loads(out.read_text())
    assert [(row["place"], row["patches"]) for row in rows] == [
        ("archipelago-sea", 1),
        ("vojvodina", 2),
        (ALL_PLACES, 3),
    ]
    sea, fields, total = (row["figures"]["vv_vh"] for row in rows)
    assert fields["recall"]["start"]["value"] is None, "there is no water"
    assert total["recall"]["fine_tuned"]["value"] == sea["recall"]["fine_tuned"]["value"]
    dry = {ref.event: 0 for ref in RealLand(two_places).chips("train")}
    for ref in RealLand(two_places).chips("train"):
        dry[ref.event] += int((read_chip(ref).label == 0).sum())
    for kind in ("start", "fine_tuned"):
        wrong = sum(
            part["false_water"][kind]["value"] * dry[place]
            for part, place in ((sea, "archipelago-sea"), (fields, "vojvodina"))
        )
        assert total["false_water"][kind]["value"] == pytest.approx(wrong / sum(dry.values()))
    for row in rows:
        for mode in ("vv", "vv_vh"):
            kept = row["guard"][mode]["false_water"]["start"]
            assert kept["low"] < kept["high"]
            # Every fit maps the same chips of the guard, so all fits together know no more chips than one.
            assert kept == rows[0]["guard"][mode]["false_water"]["start"]
    table = out.with_suffix(".md").read_text()
    assert "| vojvodina | 2 | held-out patches | VV+VH | dry land mapped as water |" in table
    assert "| vojvodina | 2 | held-out patches | VV+VH | water found |" not in table
    assert "| all places | 3 | guard | VV | water found |" in table

    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "table").rglob("*.safetensors")}
    assert {path.parts[-3] for path in made} == {"without-archipelago-sea", "without-vojvodina"}
    main(command)
    assert json.loads(out.read_text()) == rows
    assert {path: path.stat().st_mtime_ns for path in made} == made
