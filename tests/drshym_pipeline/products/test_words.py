"""The figures, texts and records of a map."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from drshym_pipeline.model.bundle import shipped_bundle
from drshym_pipeline.model.card_figures import card_iou
from drshym_pipeline.probabilities import NOT_OBSERVED, decode
from drshym_pipeline.products.caption import short_caveat, write_caption
from drshym_pipeline.products.map_statistics import MapStatistics, slice_labels
from drshym_pipeline.products.map_texts import map_warnings
from drshym_pipeline.products.report import map_record, write_page
from drshym_pipeline.records import (
    AreaEstimate,
    Calibration,
    CardIou,
    MapRecord,
    PolygonCounts,
    Score,
    StitchSummary,
)
from drshym_pipeline.sar.codes import decode_db, encode_db
from drshym_pipeline.states import mask_of
from tests.examples import examples
from tests.map_samples import BOTH, REFERENCE, of, pixel_areas, prediction, scene, uneven_areas


@examples(40)
@given(seed=st.integers(0, 2**31), cuts=st.lists(st.integers(1, 29), max_size=4, unique=True))
def test_figures_do_not_depend_on_how_the_scene_is_cut_into_bands(seed, cuts):
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 10_001, (30, 20)).astype(np.uint16)
    stored[rng.random(stored.shape) < 0.2] = NOT_OBSERVED
    probability, mask = decode(stored), mask_of(stored, 0.5)
    codes = encode_db(np.where(mask == 255, np.nan, rng.uniform(-30, 0, stored.shape)).astype(np.float32))
    vv = decode_db(codes)
    areas, by_pixel = uneven_areas(30, 20)

    def figures(edges):
        statistics = MapStatistics(areas)
        for top, bottom in pairwise(edges):
            statistics.add(top, stored[top:bottom], mask[top:bottom], codes[top:bottom])
        return statistics

    whole, parts = figures([0, 30]), figures([0, *sorted(cuts), 30])
    assert parts.pixels == whole.pixels
    assert parts.flooded_km2 == pytest.approx(whole.flooded_km2)
    assert parts.observed_km2 == pytest.approx((by_pixel * (mask != 255)).sum())
    assert parts.flooded_km2 == pytest.approx((by_pixel * (mask == 1)).sum())
    assert sum(row.pixels for row in parts.slices()) == int((mask != 255).sum())
    seen = probability[mask != 255].astype(float)
    assert parts.mean_probability == pytest.approx(seen.mean())
    first, edge = parts.slices()[0], vv < -23
    if first.pixels:
        assert first.mean_probability == pytest.approx(probability[edge & (mask != 255)].astype(float).mean())
    assert first.flooded_pixels == int((edge & (mask == 1)).sum())


def tags_of(values: np.ndarray) -> dict[str, str]:
    """Return the statistics tags of a band that `numpy` computes from its observed values."""
    mean = values.sum(dtype=np.int64) / values.size
    deviation = np.sqrt(np.square(values, dtype=np.int64).sum() / values.size - mean**2)
    return {
        "STATISTICS_MINIMUM": str(values.min()), "STATISTICS_MAXIMUM": str(values.max()),
        "STATISTICS_MEAN": f"{mean:.10g}", "STATISTICS_STDDEV": f"{deviation:.10g}",
    }  # fmt: skip


@pytest.mark.parametrize("step", [7, 40])
def test_the_statistics_tags_are_those_of_the_observed_values(step):
    rng = np.random.default_rng(11)
    stored = rng.integers(0, 10_001, (40, 50)).astype(np.uint16)
    stored[rng.random(stored.shape) < 0.3] = NOT_OBSERVED
    mask = mask_of(stored, 0.5)
    mask[:3][mask[:3] != 255] = 250
    vv = rng.integers(1, 60_000, stored.shape).astype(np.uint16)
    statistics = MapStatistics(pixel_areas(40, 50))
    for row in range(0, 40, step):
        part = slice(row, row + step)
        statistics.add(row, stored[part], mask[part], vv[part])
    assert statistics.mask_tags() == tags_of(mask[mask != 255])
    assert statistics.probability_tags() == tags_of(stored[stored != NOT_OBSERVED])


def test_a_map_without_an_observed_pixel_has_no_statistics_tags():
    statistics = MapStatistics(pixel_areas(4, 4))
    stored = np.full((4, 4), NOT_OBSERVED, np.uint16)
    statistics.add(0, stored, mask_of(stored, 0.5), np.zeros((4, 4), np.uint16))
    assert statistics.mask_tags() == statistics.probability_tags() == {}


AREA = AreaEstimate(km2=12.34, low_km2=10.0, high_km2=15.5, level=0.9, method="whole chips")


def test_the_caption_gives_the_area_only_with_its_interval_and_its_caveats():
    text = write_caption(scene(10, 10, bands=BOTH), prediction(mode="vv_vh"), AREA, 250.04)
    assert "observed area of about 250 km2" in text
    assert "12.3 km2 (90 % interval 10.0 to 15.5 km2) appear to be open water" in text
    assert "not separated from permanent water" in text
    assert "preliminary, not validated in the field" in text
    assert "unet_x 3" in text
    assert text.count(". ") == 1, "two sentences"
    assert "VV alone" not in text


CARD = CardIou(
    chips="validation chips", data="simulated Sentinel-1 scenes",
    by_mode={
        "vv": Score(value=0.4677, low=0.3968, high=0.5372, chips=120),
        "vv_vh": Score(value=0.5405, low=0.4839, high=0.5928, chips=120),
    },
)  # fmt: skip


@pytest.mark.parametrize(("bands", "mode"), [("VV", "vv"), ("BOTH", "vv"), ("VV", "vv_vh")])
def test_caption_and_warning_say_that_vv_alone_is_weaker_with_the_score_of_the_card(bands, mode):
    meta = scene(10, 10, bands=BOTH) if bands == "BOTH" else scene(10, 10)
    summary = prediction(mode=mode, card=CARD)
    text = write_caption(meta, summary, AREA, 250.04)
    assert "VV alone 0.468 (0.397 to 0.537), with VH 0.540 (0.484 to 0.593)" in text
    assert text.count(". ") == 1, "two sentences"
    (warning,) = [line for line in map_warnings(meta, of(summary), 1.0) if line.startswith("Only VV was used")]
    for part in ("0.468 (0.397 to 0.537)", "0.540 (0.484 to 0.593)", "validation chips (simulated Sentinel-1 scenes)"):
        assert part in warning
    assert "VV alone" in short_caveat(meta, summary)


@pytest.mark.parametrize("card", [None, CARD.model_copy(update={"by_mode": {"vv_vh": CARD.by_mode["vv_vh"]}})])
def test_without_a_score_on_the_card_the_warning_has_no_score(card):
    summary = prediction(card=card)
    text = write_caption(scene(10, 10), summary, AREA, 250.04)
    assert "VV alone, usually weaker than VV with VH (no figure on the model's card)" in text
    (warning,) = [line for line in map_warnings(scene(10, 10), of(summary), 1.0) if line.startswith("Only VV")]
    assert "no figure" in warning
    assert "0." not in warning


def test_a_map_of_vv_and_vh_has_no_such_warning():
    warnings = map_warnings(scene(10, 10, bands=BOTH), of(prediction(mode="vv_vh", card=CARD)), 1.0)
    assert not any("VV alone" in line for line in warnings)


def test_a_vv_scene_mapped_by_a_vv_network_has_no_comparison():
    summary = prediction(card=CARD.model_copy(update={"by_mode": {"vv": CARD.by_mode["vv"]}}))
    text = write_caption(scene(10, 10), summary, AREA, 250.04)
    assert "VV alone 0.468 (0.397 to 0.537))" in text


def test_the_score_of_a_card_is_read_from_the_bundle(random_bundle):
    assert card_iou(random_bundle.card) is None
    scores = {f"{split}_{mode}": {"iou": score} for split in ("valid", "test") for mode, score in CARD.by_mode.items()}
    card = random_bundle.card.model_copy(update={"scores": scores})
    assert card_iou(card).chips == "test chips"
    assert card_iou(card).by_mode == CARD.by_mode
    shipped = card_iou(shipped_bundle().card)
    assert shipped.by_mode["vv"] == shipped_bundle().card.scores["valid_vv"]["iou"]
    undefined = {"valid_vv": {"iou": Score(value=None)}, "valid_vv_vh": {"f1": CARD.by_mode["vv"]}}
    assert card_iou(card.model_copy(update={"scores": undefined})) is None


def test_the_caption_of_a_scene_without_observed_pixels_gives_no_area():
    text = write_caption(scene(10, 10), prediction(), None, 0.0)
    assert "Nothing was observed" in text
    assert "km2" not in text
    assert "unet_x 3" in text


class PageTexts(HTMLParser):
    """The texts that a reader of a page sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_data(self, data):
        self.found.append(data)


COUNTS = PolygonCounts(count=1200, km2=12.0, fewest_pixels=5, omitted=34, omitted_pixels=56, omitted_km2=0.0056)


def test_the_report_page_escapes_untrusted_texts_and_needs_no_other_file(tmp_path):
    evil = """<script>alert('1" & 2')</script>"""
    meta = scene(10, 10, scene_id=f"S1_{evil}", source_uris=(f"file:///x/{evil}.tif",))
    statistics = MapStatistics(pixel_areas(10, 10))
    summary = StitchSummary(
        reference=REFERENCE, calibration=Calibration(threshold=0.45), mode="vv", device="cpu", precision="fp32",
        tile=512, overlap=64, flooded=AREA, observed_km2=250.0, observed_fraction=1.0, pixels=statistics.pixels,
        mean_probability=0.2, polygons=0, polygon_counts=COUNTS, slices=statistics.slices(), caption=evil,
        warnings=(evil,), files={evil: "S1_x_mask.tif"},
    )  # fmt: skip
    Image.new("RGBA", (4, 4)).save(tmp_path / "o.png")
    record = map_record(meta, summary, "0123456789ab")
    write_page(record, summary.slices, tmp_path / "o.png", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    texts = PageTexts(page)
    for text in (f"Flood map of S1_{evil}", f"Flood map S1_{evil}", evil, f"file:///x/{evil}.tif"):
        assert text in texts.found
    assert texts.found.count(evil) == 3, "caption, warning and name of a file"
    assert 'src="data:image/png;base64,' in page
    assert "http" not in page.split("<body>")[1]
    assert "12.3 km2 (90 % interval 10.0 to 15.5 km2)" in page
    for label in slice_labels():
        assert label in page
    assert "1,200; 34 areas of fewer than 5 pixels (56 pixels together) are in the mask only" in page
    assert "confidence" not in page.lower(), "beside a wide interval it reads as a contradiction"


@pytest.mark.parametrize("separated", [False, True])
def test_the_record_says_what_the_drawn_map_says_about_permanent_water(separated):
    statistics = MapStatistics(pixel_areas(10, 10))
    summary = StitchSummary(
        reference=REFERENCE, calibration=Calibration(threshold=0.45), mode="vv", device="cpu", precision="fp32",
        tile=512, overlap=64, flooded=AREA, observed_km2=250.0, observed_fraction=1.0, pixels=statistics.pixels,
        mean_probability=0.2, water_separated=separated, polygons=0, slices=(), caption="x", warnings=(), files={},
    )  # fmt: skip
    assert map_record(scene(10, 10), summary, "0123456789ab").water_separated is separated


def test_records_and_figures_of_earlier_versions_are_read_with_their_mean_confidence():
    statistics = MapStatistics(pixel_areas(10, 10))
    summary = StitchSummary(
        reference=REFERENCE, calibration=Calibration(threshold=0.45), mode="vv", device="cpu", precision="fp32",
        tile=512, overlap=64, flooded=AREA, observed_km2=250.0, observed_fraction=1.0, pixels=statistics.pixels,
        mean_probability=0.2, polygons=0, slices=statistics.slices(), caption="x", warnings=(), files={},
    )  # fmt: skip
    values = json.loads(summary.model_dump_json())
    assert "mean_confidence" not in values
    assert "mean_confidence" not in values["slices"][0]
    # As release 0.1.0 wrote them.
    del values["polygon_counts"]
    values["mean_confidence"] = 0.87
    for row in values["slices"]:
        row["mean_confidence"] = row.pop("mean_probability")
    earlier = StitchSummary.model_validate(values)
    assert earlier.mean_confidence == 0.87
    record = map_record(scene(10, 10), earlier, "0123456789ab")
    written = json.loads(record.model_dump_json())
    assert written["mean_confidence"] is None
    del written["polygons"]
    assert MapRecord.model_validate({**written, "mean_confidence": 0.87}).mean_confidence == 0.87
