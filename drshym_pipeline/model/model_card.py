"""The cards that travel with a model, as Markdown: what it is and how good, and what it was trained on.

Layout only: every figure stands in the bundle's `ModelCard` record, so that the cards can be written anew from a bundle
at any time. Figures of other chips than the validation chips belong to `benchmark`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from drshym_pipeline.records import BandMode, Calibration, DataCard, ModelCard, Score

MODEL_CARD_FILE = "MODEL_CARD.md"
DATASET_CARD_FILE = "DATASET_CARD.md"

ETHICS = (
    "Uncertainty is always given: probabilities are calibrated on validation chips, and no area is printed without its "
    "interval. Pass both on with every map.",
    "The map is a preliminary analysis that nobody has validated in the field. No life-safety decision (evacuation, "
    "routing, where help goes first) may rest on it without review by people who know the place.",
    "What it does not find may still be flooded. Water under forest and between buildings is largely hidden from the "
    "radar, so that those who live there are counted too low; never read a dry map as proof that no one is affected.",
    "Geographic bias: how well it maps a place depends on how much that place is like the scenes it was trained and "
    "measured on. Deserts, snow, rice, mangroves and dense cities are where it has been measured least.",
    "A map of who is flooded can be used against those people, by insurers or authorities. Share what is needed.",
)

_BY_EVENT = "No event is in two splits: chips of one event are not independent."
_BY_CHIP = "The lists that come with the data. They part chips, not events: neighbours of training chips may be scored."
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
    """The card in a few lines of Markdown: for a place that has no room for tables."""
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
    """The model card, ending with a newline.

    Args:
        card: The record.
        sha256: Identity of the bundle it belongs to.
        calibration: The operating point, by band mode.
        recipe: The recipe of the training as plain values.
        measured: More Markdown on how good it is, such as figures on real scenes; its headings are of level three.
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
        f"Trained on {card.training_data} (content hash `{card.training_sha256[:12]}`). What these chips are stands in "
        f"{DATASET_CARD_FILE} beside this card." + _evidence(card.data),
        *(("## Training", markdown_table(("", ""), _recipe_rows(recipe))) if recipe else ()),
        *(
            (
                "## Operating point",
                "The probability of water is sigmoid(logit / T + bias); a pixel is water from the threshold on.",
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
                "intervals over whole chips. The operating point was fitted on these very chips: the figures flatter.",
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
    """The card of the data a model was trained on, ending with a newline."""
    data = card.data
    if data is None:
        return (
            f"# Data set card: training data of {card.name}\n\nOf the data nothing more is known here than what the "
            f"model card says: {card.training_data} (content hash `{card.training_sha256[:12]}`).\n"
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
        yield "## Trained on beside it"
        yield _bullets(data.beside)
    yield "## Limits"
    yield _bullets(data.limits)


def _evidence(data: DataCard | None) -> str:
    """How the origin of the data is known; empty for a card that does not say it."""
    return f" {data.evidence}" if data is not None and data.evidence else ""


def score_text(score: Score) -> str:
    """Such as `0.812 (0.780 to 0.840)`; a figure without an interval stands alone."""
    if score.value is None:
        return "not defined"
    if score.low is None or score.high is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def _bands(mode: BandMode) -> str:
    return "VV alone" if mode == "vv" else "VV and VH, or VV alone"


def _of(key: str) -> str:
    """Such as `valid_vv_vh` for people."""
    split, _, mode = key.partition("_")
    return f"{'validation' if split == 'valid' else split}, {_MODES.get(mode, mode)}"


def _figure_name(name: str) -> str:
    """Such as `ece_after` for people."""
    for moment in ("before", "after"):
        if name.endswith(f"_{moment}"):
            stem = name.removesuffix(f"_{moment}")
            return f"{_FIGURES.get(stem, stem.replace('_', ' '))} {moment} scaling"
    return _FIGURES.get(name, name.replace("_", " "))


def _recipe_rows(recipe: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for title, path in _RECIPE:
        value: Any = recipe
        for key in path:
            # Read as history: an option may have had another name when an old bundle was made.
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            yield title, value


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; a bar in a cell is replaced, for it would end the cell."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |" for line in lines)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
