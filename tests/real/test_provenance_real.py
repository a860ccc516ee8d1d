"""The available published sets are recognised, and the hashes in the package are those of their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.datasets.known_sets import KNOWN_CHIPS
from drshym_pipeline.datasets.open_set import detect_set
from drshym_pipeline.datasets.provenance import provenance_of
from drshym_pipeline.storage import read_json
from experiments.known_chips import known_chips

pytestmark = [pytest.mark.real, pytest.mark.system]


def test_the_hashes_in_the_package_are_up_to_date(real_data: Path) -> None:
    assert known_chips(real_data) == read_json(KNOWN_CHIPS), "run `python -m experiments known-chips --data DIR`"


@pytest.mark.parametrize(
    ("folder", "split", "title"),
    [
        ("sen1floods11", "test", "Sen1Floods11 (6 of 90 chips)"),
        ("stac_overflow", "test", "STAC-Overflow (4 images)"),
        ("etci2021", "nebraska", "ETCI 2021 (198 images)"),
        ("ombria", "albania", "OMBRIA (22 images)"),
        ("emsr763", "emsr763", "EMSR763 (9 images)"),
    ],
)
def test_real_chips_are_recognised_with_their_number(real_data: Path, folder: str, split: str, title: str) -> None:
    data = detect_set(real_data / folder)
    found = provenance_of(data, data.chips(split, present_only=True))
    assert (found.origin, found.title) == ("recognised", title)
