"""The cards that are stored with a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.model_card import dataset_card_markdown, model_card_markdown, score_text, summary
from drshym_pipeline.records import Calibration, DataCard, DataSplit, ModelCard, Score


@pytest.fixture
def card() -> ModelCard:
    return ModelCard(
        name="tiny",
        version="tiny_v0.1-00000000",
        architecture="U-Net",
        encoder="resnet18",
        parameters=1_234_567,
        bands="vv_vh",
        training_data="4 chips of a test",
        training_sha256="ab" * 32,
        scores={
            "valid_vv_vh": {
                "iou": Score(value=0.5, low=0.4, high=0.6, chips=7),
                "ece_after": Score(value=None, chips=7),
            }
        },
        intended_use="tests",
        limits=("it knows nothing",),
        data=DataCard(
            title="a test set",
            source="made up",
            form="dB",
            truth="exact",
            licence="none",
            split_by_event=True,
            splits={"train": DataSplit(chips=4, events=2, use="weights")},
            sha256="cd" * 32,
            limits=("it is small",),
            beside=("another set: 10 % of the crops",),
        ),
    )


def test_the_model_card_has_the_description_scores_uses_and_limits(card: ModelCard) -> None:
    calibration = {"vv_vh": Calibration(T=1.5, bias=-0.25, threshold=0.4)}
    recipe = {"seed": 7, "training": {"loss": "bce", "renamed_since": 1}}
    text = model_card_markdown(card, sha256="ef" * 32, calibration=calibration, recipe=recipe, measured="### Real\n\nX")
    for words in (
        "1,234,567",
        "ef" * 32,
        "4 chips of a test",
        "| validation, VV and VH | IoU | 0.500 (0.400 to 0.600) | 7 |",
        "| validation, VV and VH | ECE after scaling | not defined | 7 |",
        "| VV and VH | 1.500 | -0.250 | 0.400 |",
        "| seed | 7 |",
        "| loss | bce |",
        "### Real",
        "it knows nothing",
    ):
        assert words in text, words
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "## Intended use", "## Data", "## Training", "## Operating point", "## How good it is", "## Limits", "## Ethics"
    ]  # fmt: skip


def test_every_model_card_names_the_ethics(card: ModelCard) -> None:
    ethics = model_card_markdown(card).split("## Ethics")[1]
    for words in ("no area is printed without its interval", "life-safety", "under forest", "Geographic bias"):
        assert words in ethics


def test_the_data_set_card_has_source_splits_licence_and_limits(card: ModelCard) -> None:
    text = dataset_card_markdown(card)
    for words in (
        "a test set",
        "made up",
        "exact",
        "none",
        "cd" * 32,
        "| train | 4 | 2 | weights |",
        "it is small",
        "another set: 10 %",
    ):
        assert words in text, words
    assert "The only known facts" in dataset_card_markdown(card.model_copy(update={"data": None}))


def test_a_figure_is_shown_with_its_interval_where_it_has_one() -> None:
    assert score_text(Score(value=0.5)) == "0.500"
    assert score_text(Score(value=0.5, events=2, chips=3)) == "0.500 (no interval)"
    assert score_text(Score(value=0.5, low=0.4, high=0.6, events=2)) == "0.500 (0.400 to 0.600)"
    assert score_text(Score(value=None, low=None)) == "not defined"


def test_the_summary_is_short_enough_for_a_registry(card: ModelCard) -> None:
    text = summary(card)
    assert "IoU 0.500 (0.400 to 0.600)" in text
    assert len(text) < 2000


def test_a_saved_bundle_holds_both_cards_and_editing_a_card_does_not_change_its_hash(
    random_bundle: ModelBundle, tmp_path: Path
) -> None:
    folder = random_bundle.save(tmp_path / "bundle")
    assert random_bundle.sha256 in (folder / "MODEL_CARD.md").read_text("utf-8")
    (folder / "DATASET_CARD.md").write_text("more words")
    assert ModelBundle.load(folder).sha256 == random_bundle.sha256
