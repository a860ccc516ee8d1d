"""Held-out events: both fits are scored on the same chips, no held-out chip is in training, finished fits are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.datasets.labelled_set import leave_one_event_out
from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import TrainConfig
from experiments.leave_one_out import Plan, groups_of, leave_one_out, open_sets, sources_without, table_markdown, thin
from tests.pictures import write_emsr, write_etci, write_ombria

pytestmark = pytest.mark.system  # whole trainings

SCENES = ("delta_20190101t000000", "plain_20190101t000000")


@pytest.fixture
def plan() -> Plan:
    recipe = TrainConfig.model_validate(
        {
            "data": {"simulated": {"train": 4, "valid": 3, "test": 1, "hard": 0, "size": 64}},
            "network": {"stem": "half", "decoder_channels": [16, 8, 8]},
            "training": {"crop": 64, "batch_size": 2, "max_steps": 2, "validate_every": 2, "warmup_steps": 1},
        }
    )
    return Plan(recipe, share=0.4, most=2)


@pytest.fixture
def root(tmp_path) -> Path:
    write_etci(tmp_path / "etci2021", SCENES, tiles=1)
    write_emsr(tmp_path / "emsr763")
    write_ombria(tmp_path / "ombria")
    return tmp_path


def test_no_fit_is_trained_on_its_held_out_event(root, plan):
    sets = open_sets(root)
    folds = list(leave_one_event_out(list(sets.values()), groups_of(sets)))
    assert [name for name, _, _ in folds] == ["delta", "emsr763", "ombria-2021", "ombria-unnamed", "plain"]
    for _, kept, held_out in folds:
        sources = sources_without(sets, kept, plan)
        trained_on = {event for source in sources for event in source.events}
        assert trained_on == {ref.event for ref in kept}
        assert not trained_on & {ref.event for ref in held_out}
        assert sum(source.weight for source in sources) == pytest.approx(plan.share)


def test_both_fits_are_compared_on_the_same_chips_and_finished_fits_are_not_repeated(tmp_path, plan):
    write_etci(tmp_path / "real" / "etci2021", SCENES, tiles=1)
    sets = open_sets(tmp_path / "real")
    first = list(leave_one_out(sets, plan, tmp_path / "fits"))
    assert [row["event"] for row in first] == ["delta", "plain"]
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "fits").rglob("*.safetensors")}
    assert len({path.parent.parent for path in made}) == 3
    assert list(leave_one_out(sets, plan, tmp_path / "fits")) == first
    assert {path: path.stat().st_mtime_ns for path in made} == made
    table = table_markdown(first, plan)
    assert "| delta | 1 | IoU, pooled |" in table
    assert table.count("\n|") == 2 + 2 * len(first)


def test_a_single_event_cannot_be_held_out(tmp_path, plan):
    write_etci(tmp_path / "real" / "etci2021", SCENES[:1], tiles=1)
    with pytest.raises(InputError, match="delta: is the only real event"):
        next(leave_one_out(open_sets(tmp_path / "real"), plan, tmp_path / "fits"))


def test_a_folder_without_real_sets_is_refused(tmp_path):
    with pytest.raises(InputError, match="Expected one of the folders etci2021, emsr763, ombria"):
        open_sets(tmp_path)


def test_chips_are_thinned_evenly_and_never_repeated():
    refs = list(range(10))
    assert thin(refs, 4) == [0, 3, 6, 9]
    assert thin(refs, 50) == refs
