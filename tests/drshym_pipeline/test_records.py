"""The tile record is exactly the published one, and the error about a wrong record names the field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.schemas.__main__ import SCHEMAS, schema
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import (
    AreaEstimate,
    Calibration,
    DrShymRecord,
    TileProvenance,
    read_drshym_record,
)

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schemas"


def example() -> dict[str, Any]:
    return {
        "image_id": "S1_20210111_T1234_tile_00042",
        "modality": "sentinel1_sar_vv",
        "crs": "EPSG:32644",
        "pixel_spacing": [10.0, 10.0],
        "tile_size": [512, 512],
        "bounds": [0.0, 0.0, 5120.0, 5120.0],
        "provenance": {
            "source_uri": "s3://bucket/S1_20210111_T1234.tif",
            "processing": ["normalize:0-1", "tile:512x512"],
        },
        "label_set": ["flooded", "non_flooded"],
    }


def test_the_example_of_the_contract_is_read_and_written_unchanged() -> None:
    record = read_drshym_record(json.dumps(example()))
    assert json.loads(record.to_json()) == example()


@pytest.mark.parametrize("name", SCHEMAS)
def test_published_schemas_are_up_to_date(name: str) -> None:
    published = json.loads((FOLDER / name).read_text())
    assert published == schema(name), "docs/schemas is out of date: python -m docs.schemas writes it"


def test_every_published_schema_is_written_by_the_program() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_published_schemas_are_valid_in_the_dialect_they_name(name: str) -> None:
    published = json.loads((FOLDER / name).read_text())
    judge = jsonschema.validators.validator_for(published, default=None)
    assert judge is jsonschema.Draft202012Validator, published.get("$schema")
    judge.check_schema(published)
    with pytest.raises(jsonschema.SchemaError):
        judge.check_schema({**published, "properties": {"crs": {"type": "text"}}})


def test_every_published_schema_has_its_own_lasting_id() -> None:
    ids = {name: json.loads((FOLDER / name).read_text())["$id"] for name in SCHEMAS}
    assert ids["map_record-0.1.json"] == "urn:drshym:schema:map_record:0.1"
    assert len(set(ids.values())) == len(ids)


def test_the_published_schema_accepts_the_example_of_the_contract() -> None:
    schema = json.loads((FOLDER / "drshym_record-0.1.json").read_text())
    jsonschema.validate(example(), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**example(), "colour": "blue"}, schema)


coordinates = st.floats(-1e7, 1e7, allow_nan=False)


@given(
    left=coordinates,
    bottom=coordinates,
    size=st.tuples(st.floats(1.0, 1e6), st.floats(1.0, 1e6)),
    fraction=st.none() | st.floats(0, 1),
    threshold=st.none() | st.floats(0, 1),
)
def test_round_trip(
    left: float, bottom: float, size: tuple[float, float], fraction: float | None, threshold: float | None
) -> None:
    record = DrShymRecord(
        image_id="a",
        modality="sentinel1_sar_vv_vh",
        crs="EPSG:4326",
        pixel_spacing=(1.0, 2.0),
        tile_size=(7, 9),
        bounds=(left, bottom, left + size[0], bottom + size[1]),
        provenance=TileProvenance(source_uri="file:///a.tif", processing=("x",), threshold=threshold),
        valid_fraction=fraction,
    )
    assert read_drshym_record(record.to_json()) == record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": None}, "field 'image_id'"),
        ({"modality": "sentinel2"}, "field 'modality'"),
        ({"tile_size": [512]}, "field 'tile_size"),
        ({"pixel_spacing": [10.0, -10.0]}, "pixel_spacing must be positive"),
        ({"bounds": [5.0, 0.0, 1.0, 1.0]}, "bounds must be"),
        ({"bounds": [float("nan"), 0.0, 1.0, 1.0]}, "field 'bounds.0'"),
        ({"label_set": ["water"]}, "label_set must be"),
        ({"colour": "blue"}, "field 'colour' is not known"),
        ({"provenance": {"processing": []}}, "field 'provenance.source_uri' is missing"),
        ({"valid_fraction": 1.5}, "field 'valid_fraction'"),
    ],
)
def test_a_wrong_record_is_refused_by_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=r"tiles\.jsonl line 7: ") as caught:
        read_drshym_record({**example(), **change}, "tiles.jsonl line 7")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named() -> None:
    record = example()
    del record["crs"]
    with pytest.raises(InputError, match="field 'crs' is missing"):
        read_drshym_record(record)


def test_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(InputError, match="record: "):
        read_drshym_record("{")


def test_no_area_is_written_without_its_interval() -> None:
    area = AreaEstimate(km2=12.34, low_km2=10.0, high_km2=15.0, level=0.9, method="m")
    assert area.text() == "12.3 km2 (90 % interval 10.0 to 15.0 km2)"
    with pytest.raises(ValueError, match="low_km2"):
        AreaEstimate(km2=1.0, high_km2=2.0, level=0.9, method="m")  # type: ignore[call-arg]


def test_calibration_reads_as_the_service_writes_it() -> None:
    assert Calibration(T=1.2).text() == "temperature=1.2"
    assert Calibration(T=1.2, bias=0.3).text() == "temperature=1.2, bias=0.3"
