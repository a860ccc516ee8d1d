"""The model that comes with the package."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from docs.model_card import measured
from drshym_pipeline.model.bundle import WEIGHTS_FILE, ModelBundle, shipped_bundle, shipped_path
from drshym_pipeline.model.inputs import network_input
from drshym_pipeline.model.model_card import DATASET_CARD_FILE, MODEL_CARD_FILE, dataset_card_markdown
from drshym_pipeline.model.predict import predict_logits
from drshym_pipeline.records import BandMode
from drshym_pipeline.storage import read_json

DOCS = Path(__file__).resolve().parents[3] / "docs"
LARGEST = 30_000_000  # bytes; a larger file would make the installation of the package slow


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return shipped_bundle()


@pytest.mark.parametrize("mode", ["vv", "vv_vh"])
def test_it_has_a_calibration_and_area_errors_for_both_band_modes(bundle: ModelBundle, mode: BandMode):
    assert bundle.serving_mode(mode) == mode
    assert bundle.calibration[mode].T > 0
    assert bundle.area_errors[mode].quantile is not None
    assert bundle.area_errors[mode].flood is not None
    db = np.full((1 if mode == "vv" else 2, 64, 64), -9.0, np.float32)
    db[:, 16:48, 16:48] = -24.0
    inputs = network_input(db, bundle.network.bands)[np.newaxis]
    (logits,) = predict_logits(bundle.build(), inputs, device="cpu", precision="fp32")
    assert np.isfinite(logits).all()
    assert logits[24:40, 24:40].mean() > logits[:8].mean(), "dark water must be more likely water than bright land"


def test_its_weights_are_small_enough_to_ship():
    assert (shipped_path() / WEIGHTS_FILE).stat().st_size < LARGEST


def test_its_cards_are_in_its_folder_and_the_page_in_docs_is_the_same(bundle: ModelBundle):
    text = (shipped_path() / MODEL_CARD_FILE).read_text("utf-8")
    assert bundle.sha256 in text, "the card is of another checkpoint: run `python -m docs.model_card`"
    assert "## Ethics" in text
    assert (DOCS / "model_card.md").read_text("utf-8") == text
    assert (shipped_path() / DATASET_CARD_FILE).read_text("utf-8") == dataset_card_markdown(bundle.card)


def test_nothing_that_ships_names_a_commit_with_uncommitted_changes():
    """Such a commit does not contain the code that ran, so the code could not be found again."""
    files = [path for path in shipped_path().parents[1].rglob("*") if path.is_file()]
    files += [DOCS / "model_card.md", *(DOCS / "card").iterdir()]
    marked = [path for path in files if re.search(rb"[0-9a-f]{7,}-dirty", path.read_bytes())]
    assert len(files) > 100
    assert not marked


def test_its_card_is_made_from_the_measured_figures(bundle: ModelBundle):
    figures = measured(read_json(DOCS / "card" / "card.json"), bundle.sha256)
    assert bundle.model_card(figures) == (DOCS / "model_card.md").read_text("utf-8"), "run `python -m docs.model_card`"
