"""Which runs count as the same run, so that a later release continues what an earlier one began."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.storage import write_json
from drshym_pipeline.training.checkpoint import IDENTITY_FILE, check_claim, run_identity


@pytest.mark.parametrize("removed", [("network", "context"), ("training", "hard_share")])
def test_a_run_of_a_release_without_a_setting_is_continued_with_its_default(tmp_path: Path, removed: tuple[str, str]):
    identity = run_identity(TrainConfig(), "data", None)
    section, key = removed
    older = {**identity, section: {name: value for name, value in identity[section].items() if name != key}}
    write_json(tmp_path / IDENTITY_FILE, older)
    check_claim(tmp_path, identity)
    other = {**identity, section: {**identity[section], key: "another"}}
    with pytest.raises(InputError, match=rf"differs in '{section}\.{key}'"):
        check_claim(tmp_path, other)


def test_a_source_of_a_release_without_a_setting_counts_as_having_its_default(tmp_path: Path):
    config = TrainConfig.model_validate({"data": {"sources": [{"kind": "real_land", "weight": 0.2}]}})
    identity = run_identity(config, "data", None, ["source"])
    older = {**identity["sources"]["0"]}
    del older["laid_water"]
    write_json(tmp_path / IDENTITY_FILE, {**identity, "sources": {"0": older}})
    check_claim(tmp_path, identity)
    with pytest.raises(InputError, match=r"differs in 'sources\.0\.laid_water'"):
        check_claim(tmp_path, {**identity, "sources": {"0": {**older, "laid_water": 0.5}}})
