"""The cards that are stored with a model, as Markdown: the model card and the card of its training data.

Layout only: every figure is in the bundle's `ModelCard` record, so the cards can be written again from a bundle at any
time. Figures of other chips than the validation chips are passed in by the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from drshym_pipeline.records import NO_INTERVAL, BandMode, Calibration, DataCard, ModelCard, Score, resampling_text

MODEL_CARD_FILE = "MODEL_CARD.md"
DATASET_CARD_FILE = "DATASET_CARD.md"

ETHICS = (
    "Uncertainty is always given: probabilities are calibrated on validation chips, and no area is printed without its "
    "interval. Pass both on with every map.",
    "The map is a preliminary analysis that was not validated in the field. Do not base a life-safety decision "
    "(evacuation, routing, where help goes first) on it without review by people who know the place.",
    "Areas that the map shows as dry may still be flooded. Water under forest and between buildings is largely hidden "
    "from the radar, so too few affected people are counted there. A dry map is not proof that no one is affected.",
    "Geographic bias: the quality of a map depends on how similar the place is to the scenes that the model was "
    "trained and measured on. It was measured least in deserts, snow, rice, mangroves and dense cities.",
    "A map that shows who is flooded can be used against these people, by insurers or authorities. Share only what is "
    "needed.",
)

_BY_EVENT = "No event is in two splits: chips of one event are not independent."
_BY_CHIP = (
    "The splits are the lists that come with the data. They divide chips, not events, so neighbours of training chips "
    "may be scored."
)
_MODES: dict[str, str] = {"vv": "VV alone", "vv_vh": "VV and VH"}
_FIGURES = {
    "iou": "IoU",
    "iou_chip_mean": "mean IoU of chips with water",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "ECE",
    "ece_equal_mass": "ECE over bins of equal mass",
    "ece_water_side": "ECE where water is likelier",
    "ece_uncertain": "ECE of uncertain pixels",
    "uncertain_share": "share of uncertain pixels",
    "uncertain_predicted": "mean probability of uncertain pixels",
    "uncertain_found": "share of water among uncertain pixels",
}
_RECIPE = (
    ("seed", ("seed",)),
    ("start", ("network", "start")),
    ("stem", ("network", "stem")),
    ("loss", ("training", "loss")),
    ("crop, pixels", ("training", "crop")),
    ("batch size", ("training", "batch_size")),
    ("steps at most", ("training", "max_steps")),
    ("learning rate", ("training", "learning_rate")),
    ("decay of the average of the weights", ("training", "ema")),
    ("label -1", ("data", "invalid_label")),
)


def summary(card: ModelCard) -> str:
    """Return the card in a few lines of Markdown, for places without room for tables."""
    lines = [f"# {card.name} {card.version}", f"{card.architecture}, {card.encoder}; {_bands(card.bands)}."]
    lines.append(f"Trained on {card.training_data}.")
    for key, scores in card.scores.items():
        figures = [f"{_FIGURES[name]} {score_text(scores[name])}" for name in ("iou", "f1") if name in scores]
        if figures:
            lines.append(f"{_of(key)}: {', '.join(figures)}.")
    lines += [f"Use: {card.intended_use}", "Not for life-safety decisions without review."]
    return "\n\n".join(lines)


def model_card_markdown(
    card: ModelCard,
    *,
    sha256: str | None = None,
    calibration: Mapping[BandMode, Calibration] | None = None,
    recipe: Mapping[str, Any] | None = None,
    measured: str | None = None,
) -> str:
    """Return the model card as Markdown that ends with a newline.

    Args:
        card: The record of the card.
        sha256: SHA-256 of the bundle that the card belongs to.
        calibration: The operating point, by band mode.
        recipe: The recipe of the training as plain values.
        measured: More Markdown with scores, such as figures on real scenes; its headings are of level three.
    """
    identity = [("version", card.version), ("architecture", card.architecture), ("encoder", card.encoder)]
    identity += [("parameters", f"{card.parameters:,}"), ("reads", _bands(card.bands))]
    identity += [("made", f"{card.created_at:%Y-%m-%d}")]
    if sha256:
        identity.append(("sha256", f"`{sha256}`"))
    operating = (
        (_MODES[mode], f"{item.T:.3f}", f"{item.bias:.3f}", f"{item.threshold:.3f}")
        for mode, item in (calibration or {}).items()
    )
    figures = (
        (_of(key), _figure_name(name), score_text(score), score.chips)
        for key, scores in card.scores.items()
        for name, score in scores.items()
    )
    parts = [
        f"# Model card: {card.name}",
        markdown_table(("", ""), identity),
        f"## Intended use\n\n{card.intended_use}",
        "## Data",
        f"Trained on {card.training_data} (content hash `{card.training_sha256[:12]}`). These chips are described in "
        f"{DATASET_CARD_FILE} beside this card." + _evidence(card.data),
        *(("## Training", markdown_table(("", ""), _recipe_rows(recipe))) if recipe else ()),
        *(
            (
                "## Operating point",
                "The probability of water is sigmoid(logit / T + bias). A pixel is water when its probability is at "
                "least the threshold.",
                markdown_table(("bands", "T", "bias", "threshold"), operating),
            )
            if calibration
            else ()
        ),
        "## How good it is",
        *([measured.strip()] if measured else []),
        *(
            (
                "### Validation chips",
                "Water is the positive class; unknown and unobserved pixels are not scored. In brackets: bootstrap "
                f"intervals over {_resampling(card)}. The operating point was fitted on the same chips, so these "
                "figures are likely too optimistic.",
                markdown_table(("bands", "figure", "value", "chips"), figures),
            )
            if card.scores
            else ("Nothing was measured here.",)
        ),
        "## Limits",
        _bullets(card.limits),
        "## Ethics",
        _bullets(ETHICS),
    ]
    return "\n\n".join(parts) + "\n"


def dataset_card_markdown(card: ModelCard) -> str:
    """Return the card of the data that a model was trained on, as Markdown that ends with a newline."""
    data = card.data
    if data is None:
        return (
            f"# Data set card: training data of {card.name}\n\nThe only known facts about the data are those of the "
            f"model card: {card.training_data} (content hash `{card.training_sha256[:12]}`).\n"
        )
    return "\n\n".join((f"# Data set card: {data.title}", *_data_parts(data))) + "\n"


def _data_parts(data: DataCard) -> Iterable[str]:
    yield markdown_table(
        ("", ""),
        [
            ("source", data.source),
            ("form", data.form),
            ("truth", data.truth),
            ("licence", data.licence),
            *([("how this is known", data.evidence)] if data.evidence else []),
            ("sha256", f"`{data.sha256}`"),
        ],
    )
    yield "## Splits"
    yield _BY_EVENT if data.split_by_event else _BY_CHIP
    rows = ((name, split.chips, split.events, split.use) for name, split in data.splits.items())
    yield markdown_table(("split", "chips", "events", "used for"), rows)
    if data.beside:
        yield "## Other sets"
        yield _bullets(data.beside)
    yield "## Limits"
    yield _bullets(data.limits)


def _evidence(data: DataCard | None) -> str:
    """Return how the origin of the data is known; an empty string for a card that does not say it."""
    return f" {data.evidence}" if data is not None and data.evidence else ""


def score_text(score: Score) -> str:
    """Return a text such as `0.812 (0.780 to 0.840)`, `0.812 (no interval)` or, without resampling, `0.812`."""
    if score.value is None:
        return "not defined"
    if score.low is None or score.high is None:
        return f"{score.value:.3f}" if score.events is None else f"{score.value:.3f} ({NO_INTERVAL})"
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def _resampling(card: ModelCard) -> str:
    """Return over what the intervals of a card were resampled."""
    scores = [score for figures in card.scores.values() for score in figures.values()]
    return resampling_text(max((score.events for score in scores if score.events is not None), default=None))


def _bands(mode: BandMode) -> str:
    return "VV alone" if mode == "vv" else "VV and VH, or VV alone"


def _of(key: str) -> str:
    """Return a key such as `valid_vv_vh` in words."""
    mode = "vv_vh" if key.endswith("_vv_vh") else key.rpartition("_")[2]
    split = key.removesuffix(f"_{mode}")
    return f"{'validation' if split == 'valid' else split}, {_MODES.get(mode, mode)}"


def _figure_name(name: str) -> str:
    """Return the name of a figure such as `ece_after` in words."""
    for moment in ("before", "after"):
        if name.endswith(f"_{moment}"):
            stem = name.removesuffix(f"_{moment}")
            return f"{_FIGURES.get(stem, stem.replace('_', ' '))} {moment} scaling"
    return _FIGURES.get(name, name.replace("_", " "))


def _recipe_rows(recipe: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for title, path in _RECIPE:
        value: Any = recipe
        for key in path:
            # The recipe is not validated: an option may have had another name when an old bundle was made.
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            yield title, value


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table; a bar in a cell is replaced, because it would end the cell."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |" for line in lines)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
