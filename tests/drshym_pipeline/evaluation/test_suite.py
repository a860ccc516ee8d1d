"""Several checkpoints, modes and compared methods on several sets, and the card of their scores."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from drshym_pipeline.datasets.chips import read_chip
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.baselines import BASELINES, CEILINGS, TITLES
from drshym_pipeline.evaluation.card import markdown
from drshym_pipeline.evaluation.comparison import compare, compare_all
from drshym_pipeline.evaluation.evaluate import NETWORK, evaluate
from drshym_pipeline.evaluation.evaluation_log import log_rows
from drshym_pipeline.evaluation.gallery import SMALL_SET, difference_codes, draw_gallery, worst_chips
from drshym_pipeline.evaluation.mapper import ChipMapper
from drshym_pipeline.evaluation.report import CARD, write_report
from drshym_pipeline.evaluation.samples import PARTIAL, open_samples
from drshym_pipeline.evaluation.slices import read_ancillary
from drshym_pipeline.evaluation.suite import FIGURES, Part, Sample, run_suite
from drshym_pipeline.settings import EvaluationConfig
from tests.pictures import write_etci

QUICK = EvaluationConfig(bootstrap=200)


@pytest.fixture(scope="module")
def sample(simulated_chips) -> Sample:
    return open_samples([simulated_chips], ["test"])[0]


@pytest.fixture(scope="module")
def parts(sample, seeds) -> list[Part]:
    return run_suite([sample], seeds[:2], others={"VV network": seeds[2]}, config=QUICK)


def test_both_modes_are_scored_by_default_and_every_method_on_the_same_pixels(parts, seeds, sample) -> None:
    assert [part.bands for part in parts] == ["VV+VH", "VV"]
    reference = parts[0].first.counts
    for part in parts:
        assert [found.model["name"] for found in part.seeds] == ["seed1", "seed2"]
        assert tuple(part.first.baselines) == BASELINES
        assert tuple(part.first.ceilings) == CEILINGS
        methods = [found.counts for found in (*part.seeds, *part.others.values())]
        for counts in (*methods, *part.first.baselines.values(), *part.first.ceilings.values()):
            assert list(counts.index) == list(reference.index)
            for pair in (["tp", "fn"], ["fp", "tn"]):
                assert (counts[pair].sum(axis=1) == reference[pair].sum(axis=1)).all()
    alone = evaluate(seeds[1], sample.refs, mode="vv", config=QUICK)
    pd.testing.assert_frame_equal(parts[1].seeds[1].counts, alone.counts)
    assert set(parts[0].others["VV network"].counts["mode"]) == {"vv"}
    # It has one mode: the second part shows the same evaluation, and the log has one line for both.
    assert parts[1].others["VV network"] is parts[0].others["VV network"]
    logged = [(row["sha256"], row["bands"]) for row in log_rows(parts)]
    assert len(logged) == len(set(logged)) == sum(len(part.seeds) for part in parts) + 1


def test_only_the_requested_mode_is_scored(sample, seeds) -> None:
    found = run_suite([sample], seeds[:1], modes=["vv"], config=QUICK)
    assert [part.bands for part in found] == ["VV"]


def test_the_spread_is_that_of_the_seeds(parts) -> None:
    values = [found.scores["iou"].value for found in parts[0].seeds]
    spread = parts[0].spread()["pooled IoU"]
    assert spread.figures == tuple(values)
    assert spread.mean == pytest.approx(np.mean(values))
    assert spread.deviation == pytest.approx(abs(values[0] - values[1]) / np.sqrt(2))
    assert set(parts[0].spread()) == set(FIGURES)


def test_a_single_seed_has_no_deviation(sample, seeds) -> None:
    (part,) = run_suite([sample], seeds[:1], modes=["vv_vh"], config=QUICK)
    assert part.spread()["pooled IoU"].deviation is None


def test_flood_alone_leaves_permanent_water_out_for_every_method(parts, sample) -> None:
    first = parts[0].first
    assert set(first.flood) == {NETWORK, *BASELINES, *CEILINGS}
    for ref in sample.refs:
        chip = read_chip(ref)
        permanent = read_ancillary(ref.ancillary["permanent_water"], chip.label.shape) != 0
        scored = np.isfinite(chip.db).all(axis=0) & ~permanent
        for counts in first.flood.values():
            row = counts.loc[ref.chip_id]
            assert row["tp"] + row["fn"] == np.count_nonzero(scored & (chip.label == 1))
            assert row["fp"] + row["tn"] == np.count_nonzero(scored & (chip.label == 0))


def test_without_reference_water_there_are_no_scores_of_flood_alone(sample, seeds) -> None:
    refs = [replace(ref, ancillary={}) for ref in sample.refs[:2]]
    found = evaluate(seeds[0], refs, config=QUICK)
    assert not found.flood
    assert "Flood alone" not in markdown(found)


def test_there_is_a_verdict_on_pooled_pixels_and_one_on_wet_chips(parts) -> None:
    first = parts[0].first
    comparisons = compare_all(first, parts[0].others)
    assert set(comparisons) == {*(TITLES[name] for name in BASELINES), "VV network"}
    same = compare(first, first.counts, "itself")
    assert (same.pooled.word, same.wet_chips.word) == ("not distinguishable", "not distinguishable")
    perfect = first.counts.assign(tp=first.counts["tp"] + first.counts["fn"], fn=0)
    perfect = perfect.assign(tn=perfect["tn"] + perfect["fp"], fp=0)
    beaten = compare(first, perfect, "the truth")
    assert (beaten.pooled.word, beaten.wet_chips.word) == ("worse", "worse")
    assert "Mean IoU differs from that of the truth" in beaten.wet_chips.reason
    with pytest.raises(ValueError, match="same chips"):
        compare(first, first.counts.iloc[1:], "a part")


def test_the_card_has_every_part_and_the_json_has_its_figures(parts, seeds, tmp_path) -> None:
    paths = write_report(parts, seeds[0], tmp_path / "card")
    card, document = paths["card.md"].read_text(), json.loads(paths["card.json"].read_text())
    first = parts[0].first
    for words in (
        "### Seeds", "standard deviation", "### Flood alone", "### Chips without water", "### Every chip",
        "Boundary F1", "ECE, equal mass", "VV network", "(ceiling) best threshold on VH", "Kittler-Illingworth on VV",
        f"{first.mean_chip_iou.value:.3f} ({first.mean_chip_iou.low:.3f} to", str(first.counts.index[0]),
    ):  # fmt: skip
        assert words in card
    for line in card.splitlines():
        if line.startswith("!["):
            picture = Image.open(tmp_path / "card" / line.split("(")[-1].rstrip(")"))
            assert picture.format == "PNG"
    part = document["parts"][0]
    assert part["evaluation"]["pooled"]["iou"]["value"] == first.scores["iou"].value
    assert part["seeds"]["pooled IoU"]["values"] == [found.scores["iou"].value for found in parts[0].seeds]
    assert set(part["comparisons"]) == {*(TITLES[name] for name in BASELINES), "VV network"}
    assert part["evaluation"]["boundary"]["f1"] == first.shapes.shores.f1
    assert document["compared"]["VV network"]["sha256"] == seeds[2].sha256
    rows = pd.read_csv(paths["chips.csv"])
    assert len(rows) == len(parts) * 3 * len(first.counts)


def test_pictures_that_only_an_earlier_card_shows_are_removed(parts, seeds, tmp_path) -> None:
    card = write_report(parts, seeds[0], tmp_path)[CARD]
    kept = {path.name for path in tmp_path.glob("*.png")}
    card.write_text(card.read_text() + "![an earlier set](earlier_set_test.png)\n")
    for name in ("earlier_set_test.png", "from_someone_else.png"):
        (tmp_path / name).write_bytes(b"a picture")
    write_report(parts, seeds[0], tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == kept | {"from_someone_else.png"}


def test_the_gallery_shows_all_of_a_small_set_and_the_worst_of_a_large_one(parts, seeds, sample) -> None:
    first = parts[0].first
    assert set(worst_chips(first)) == set(first.counts.index)
    copies = pd.concat([first.counts.rename(index=lambda name, n=n: f"{name}-{n}") for n in range(3)])
    large = replace(first, counts=copies)
    assert len(copies) > SMALL_SET
    shown = worst_chips(large, 4)
    assert len(shown) <= 4
    wet = large.chips()[copies["tp"] + copies["fn"] > 0]
    assert wet["iou"].idxmin() in shown
    picture = draw_gallery(sample.refs, worst_chips(first), ChipMapper(seeds[0]), first)
    assert (
        Image.open(BytesIO(picture)).height
        > Image.open(BytesIO(draw_gallery(sample.refs, worst_chips(first)[:1], ChipMapper(seeds[0]), first))).height
    )


def test_every_pixel_of_a_difference_has_one_meaning() -> None:
    water = np.array([[True, True, False, False, True, True]])
    label = np.array([[1, 0, 1, 0, -1, 1]], np.int8)
    observed = np.array([[True, True, True, True, True, False]])
    assert difference_codes(water, label, observed).tolist() == [[0, 1, 2, 3, 4, 5]]


def test_the_card_of_a_partial_copy_says_how_many_chips_are_absent(partial_chips, seeds, tmp_path) -> None:
    (partial,) = open_samples([partial_chips], ["test"], present_only=True)
    parts = run_suite([partial], seeds[:1], modes=["vv_vh"], config=QUICK)
    note = f"2 of the chips that the split lists are absent. {PARTIAL}"
    assert (len(partial.refs), partial.notes[-1]) == (3, note)
    assert note in parts[0].first.notes
    assert note in write_report(parts, seeds[0], tmp_path)[CARD].read_text("utf-8")


def test_a_complete_copy_has_no_note_on_absent_chips(simulated_chips) -> None:
    (sample,) = open_samples([simulated_chips], ["test"], present_only=True)
    assert not any(PARTIAL in note for note in sample.notes)


def test_the_note_for_a_set_without_lists_says_that_other_absent_chips_are_not_known(tmp_path) -> None:
    (sample,) = open_samples([write_etci(tmp_path)], ["delta"], present_only=True)
    assert sample.notes[-1] == f"0 incomplete chips left out; no list shows how many others are absent. {PARTIAL}"


def test_splits_that_a_set_does_not_have_are_skipped_but_it_must_have_one(simulated_chips) -> None:
    found = open_samples([simulated_chips], ["test", "bolivia", "hard"])
    assert [(sample.split, len(sample.refs)) for sample in found] == [("test", 5), ("hard", 3)]
    assert found[0].data == "simulated chips"
    with pytest.raises(InputError, match=r"has no split bolivia.*test"):
        open_samples([simulated_chips], ["bolivia"])


@pytest.mark.parametrize(("case", "message"), [("seed", "given twice"), ("data", "given twice"), ("none", "no data")])
def test_a_checkpoint_or_a_set_that_is_given_twice_is_refused(case, message, sample, seeds) -> None:
    samples = {"seed": [sample], "data": [sample, sample], "none": []}[case]
    with pytest.raises(InputError, match=message):
        run_suite(samples, [seeds[0], seeds[0]] if case == "seed" else seeds[:1], config=QUICK)
