"""What is checked about the files of a scene before they are read: the largest number of pixels, and links."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.sar.pixel_limit import TooManyPixelsError
from drshym_pipeline.sar.safe_open import check_location
from tests.map_samples import REFERENCE
from tests.products.safe_product import write_safe, zip_safe
from tests.small_scenes import write_lake_scene


def test_a_zip_is_checked_after_it_was_unpacked(tmp_path: Path, random_bundle):
    archive = zip_safe(write_safe(tmp_path))
    with pytest.raises(TooManyPixelsError, match=rf"{archive.name}: has \d+ pixels, more than the limit of 100\. Cut"):
        map_scene([archive], tmp_path / "out", random_bundle, REFERENCE, most_pixels=100)
    assert not (tmp_path / "out").exists()


def test_the_limit_holds_for_both_scenes_and_is_itself_allowed(tmp_path: Path, random_bundle):
    scene = write_lake_scene(tmp_path / "lake.tif", shape=(64, 64))
    before = write_lake_scene(tmp_path / "before.tif", shape=(64, 65), lake=0.1, seed=3)
    options = {"tile": 64, "overlap": 16, "most_pixels": 64 * 64}
    with pytest.raises(TooManyPixelsError, match=r"before\.tif: has 4160 pixels"):
        map_scene([scene], tmp_path / "out", random_bundle, REFERENCE, pre=[before], **options)
    assert map_scene([scene], tmp_path / "out", random_bundle, REFERENCE, **options).scene_id == "lake"


def test_the_error_survives_the_way_out_of_a_process():
    error = TooManyPixelsError("x.zip", 5, 4)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_link_to_itself_or_to_nothing_is_a_broken_link(tmp_path: Path):
    for name, target in (("itself.tif", "itself.tif"), ("nothing.tif", "none.tif")):
        link = tmp_path / name
        link.symlink_to(tmp_path / target)
        with pytest.raises(InputError, match=rf"{name}: is a broken link\. Give the path of the file itself"):
            check_location(link)
