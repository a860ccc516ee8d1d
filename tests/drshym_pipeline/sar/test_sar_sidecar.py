"""The side-car of a scene: its name and its content."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.sar.safe_open import check_location
from drshym_pipeline.sar.sidecar import (
    SceneSidecar,
    is_sidecar,
    parse_sidecar,
    read_text,
    scene_name,
    sidecar_key,
    sidecar_of,
    unused_sidecars,
)
from tests.look_alikes import backscatter_db
from tests.units import from_db


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("S1_rome.tif", "S1_rome"),
        ("S1_rome.drshym.json", "S1_rome"),
        ("x_VV.tif", "x"),
        ("x_vh.tiff", "x"),
        ("x.drshym.json", "x"),
        ("x_VV_VH.tif", "x_VV_VH"),
    ],
)
def test_a_scene_and_its_side_car_share_a_name(filename, name):
    assert scene_name(filename) == name


def test_other_json_files_are_not_side_cars():
    assert is_sidecar("a.drshym.json")
    assert not any(is_sidecar(name) for name in ("a.json", ".drshym.json", "a.drshym.json.part", "drshym.json"))


def test_all_keys_are_read():
    values = {
        "units": "power",
        "bands": [3, 4],
        "denoise": False,
        "pre_event": "before.tif",
        "event": "EMSR763",
        "date": "2021-01-11",
        "title": "Rome",
        "place": "Tiber",
        "any_spacing": True,
    }
    assert parse_sidecar(json.dumps(values), "x").model_dump(mode="json") == values
    assert parse_sidecar("{}", "x") == SceneSidecar()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "JSON"),
        ('{"units": "db"', "JSON"),
        ("[]", "object"),
        ('{"units": "decibel"}', "'units'"),
        ('{"unit": "db"}', "'unit' is not known"),
        ('{"bands": [0]}', "'bands"),
        ('{"bands": [1, 2, 3]}', "'bands'"),
        ('{"bands": "1,2"}', "'bands'"),
        ('{"date": "yesterday"}', "'date'"),
        ('{"title": ""}', "'title'"),
        ('{"event": 763}', "'event'"),
    ],
)
def test_a_broken_side_car_is_refused_in_one_line_that_names_it(text, message):
    with pytest.raises(InputError) as caught:
        parse_sidecar(text, "S1.drshym.json")
    line = str(caught.value)
    assert line.startswith("S1.drshym.json: ")
    assert message in line
    assert "\n" not in line


@pytest.mark.parametrize("text", ["", "{", '{"units": "db"'])
def test_a_side_car_that_is_no_json_names_no_field(text):
    with pytest.raises(InputError) as caught:
        parse_sidecar(text, "S1.drshym.json")
    assert str(caught.value).startswith("S1.drshym.json: invalid JSON")


def test_a_folder_that_cannot_be_searched_has_no_side_car(tmp_path: Path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    assert sidecar_of([tmp_path / "x.tif"]) == SceneSidecar()
    with pytest.raises(InputError, match=r"x\.tif: cannot be read \(Permission denied\)"):
        check_location(tmp_path / "x.tif")


def test_the_side_car_beside_a_pair_is_found_and_none_is_an_empty_one(tmp_path: Path):
    sources = [tmp_path / "x_VV.tif", tmp_path / "x_VH.tif"]
    assert sidecar_of(sources) == SceneSidecar()
    (tmp_path / "x.drshym.json").write_bytes(b'\xef\xbb\xbf{"units": "db"}')  # some editors write this mark
    assert sidecar_of(sources).units == "db"


@pytest.mark.parametrize("text", ["{", "[]", '{"units": "decibel"}', '{"unit": "db"}', '{"bands": [0]}'])
def test_following_either_remedy_for_a_broken_side_car_gives_the_right_map(tmp_path, write_tiff, random_bundle, text):
    db = backscatter_db(64, 80).astype(np.float32)
    reference = random_bundle.reference("checkpoint")
    note, wrong = tmp_path / "S1_a.drshym.json", tmp_path / "out"

    def mask(folder: str) -> bytes:
        record = map_scene([write_tiff(db, "S1_a.tif")], tmp_path / folder, random_bundle, reference)
        return (tmp_path / folder / record.files["mask"]).read_bytes()

    right = mask("right")
    note.write_text(text)
    with pytest.raises(InputError) as caught:
        mask("out")
    assert not list(wrong.glob("*.tif"))
    example = re.search(r"\{.*\}", caught.value.remedy)
    assert example is not None and caught.value.remedy.endswith("or remove the file")
    note.write_text(example[0])
    assert mask("written") == right
    note.unlink()
    assert mask("removed") == right


def test_a_side_car_that_cannot_be_read_is_an_error_and_not_an_empty_one(tmp_path: Path):
    (tmp_path / "x.drshym.json").mkdir()
    assert read_text(tmp_path / "x.drshym.json") is None
    with pytest.raises(InputError, match="cannot be read"):
        sidecar_of([tmp_path / "x.tif"])


def test_a_huge_file_is_refused_without_reading_it_whole(tmp_path: Path):
    path = tmp_path / "x.drshym.json"
    path.write_text('{"title": "a"}')
    os.truncate(path, 1 << 30)
    assert len(read_text(path) or "") == 65_536
    with pytest.raises(InputError, match="JSON"):
        sidecar_of([tmp_path / "x.tif"])


def test_a_map_uses_the_side_car_and_an_option_replaces_its_value(tmp_path, write_tiff, random_bundle):
    source = write_tiff(from_db(backscatter_db(64, 80), "power").astype(np.float32), "S1_a.tif")
    note = tmp_path / "S1_a.drshym.json"
    reference = random_bundle.reference("checkpoint")

    def processing(out: str, **options):
        return map_scene([source], tmp_path / out, random_bundle, reference, tile=64, overlap=8, **options).processing

    note.write_text('{"units": "amplitude"}', "utf-8")
    with pytest.raises(InputError, match="behave like power, not like amplitude"):
        processing("by the side-car")
    assert "units:power->db" in processing("given", units="power")
    note.write_text('{"units": "power"}', "utf-8")
    assert "units:power->db" in processing("by the corrected side-car")
    note.write_text("{", "utf-8")
    with pytest.raises(InputError, match=r"S1_a\.drshym\.json"):
        processing("broken")
    assert not (tmp_path / "broken").exists()


PRODUCT = "S1A_IW_GRDH_1SDV_20210111T002146_20210111T002211_036088_043AE5_A1B2"


@pytest.mark.parametrize(
    ("key", "scene", "reason"),
    [
        ("q_VV.drshym.json", "q_VV.tif", "it should be q.drshym.json"),
        ("q_vh.drshym.json", "q_VV.tif", "it should be q.drshym.json"),
        ("q_VV.tif.drshym.json", "q_VV.tif", "it should be q.drshym.json"),
        ("sd.tif.drshym.json", "sd.tif", "it should be sd.drshym.json"),
        ("SD.drshym.json", "sd.tif", "it should be sd.drshym.json"),
        ("sd.DRSHYM.JSON", "sd.tif", "it should be sd.drshym.json"),
        ("d/sd.TIFF.drshym.json", "d/sd.tif", "it should be d/sd.drshym.json"),
        ("sd.drshym.json", "d/sd.tif", "it should be d/sd.drshym.json"),
        (f"{PRODUCT}.SAFE.drshym.json", f"{PRODUCT}.SAFE", f"it should be {PRODUCT}.drshym.json"),
        (f"{PRODUCT}.SAFE/{PRODUCT}.drshym.json", f"{PRODUCT}.SAFE", f"it should be {PRODUCT}.drshym.json"),
        (f"{PRODUCT}.zip.drshym.json", f"{PRODUCT}.zip", f"it should be {PRODUCT}.drshym.json"),
        ("lost.drshym.json", "sd.tif", "there is no scene for it"),
    ],
)
def test_a_side_car_that_no_scene_uses_is_named_with_the_name_it_should_have(key: str, scene: str, reason: str):
    assert unused_sidecars([key], [scene]) == [f"{key} ({reason})"]
    if reason.startswith("it should be "):
        assert unused_sidecars([reason.removeprefix("it should be ")], [scene]) == [], "the name that is given works"


@pytest.mark.parametrize("scene", ["sd.tif", "sd_VV.tif", "d/sd.tif", f"{PRODUCT}.SAFE", f"{PRODUCT}.zip"])
def test_the_side_car_of_a_scene_is_used(scene: str):
    assert unused_sidecars([sidecar_key(scene)], [scene]) == []
    assert sidecar_of([Path(scene)]) == SceneSidecar()


def test_a_name_that_is_taken_or_of_two_scenes_is_not_proposed():
    assert unused_sidecars(["q_VV.drshym.json", "q.drshym.json"], ["q_VV.tif"]) == [
        "q_VV.drshym.json (there is no scene for it)"
    ]
    assert unused_sidecars(["s.drshym.json"], ["a/s.tif", "b/s.tif"]) == ["s.drshym.json (there is no scene for it)"]
    assert unused_sidecars(["s.DRSHYM.JSON"], ["s.tif"], ["s.DRSHYM.JSON"]) == []
