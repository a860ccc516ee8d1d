"""Write the shipped checkpoint's model card, here and beside its weights: `python -m docs.model_card`.

The card is made from the checkpoint's own record and from what `make card` measured (docs/card/card.json): no figure
is typed by hand, and measurements of another checkpoint are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.evaluation_log import UNCOMMITTED, stated_commit
from drshym_pipeline.evaluation.fitted_chips import is_note_on_fitted
from drshym_pipeline.model.bundle import ModelBundle, shipped_path
from drshym_pipeline.model.model_card import (
    DATASET_CARD_FILE,
    MODEL_CARD_FILE,
    dataset_card_markdown,
    markdown_table,
    score_text,
)
from drshym_pipeline.records import Score
from drshym_pipeline.storage import read_json, write_text

HERE = Path(__file__).resolve().parent
MEASURED = HERE / "card" / "card.json"
CARD = HERE / "model_card.md"
_MEAN = "mean IoU of wet chips"


def measured(card: Mapping[str, Any], sha256: str) -> str:
    """Return the figures of a benchmark as Markdown, with headings of level three.

    Args:
        card: The benchmark's card.json.
        sha256: The sha256 of the checkpoint that the model card describes.

    Raises:
        InputError: The benchmark is about another checkpoint.
    """
    first, *seeds = card["checkpoints"]
    if first["sha256"] != sha256:
        raise InputError(
            MEASURED,
            f"is about model {first['sha256'][:12]}, the shipped one is {sha256[:12]}",
            "Run `make card` first",
        )
    interval = card["parts"][0]["evaluation"]["interval"]
    level, over = interval["level"], interval["over"]
    head: tuple[str, ...] = (
        "set",
        "bands",
        "chips",
        "IoU",
        "mean IoU of chips with water",
        "dry land mapped as water",
        "ECE",
    )
    parts = [
        f"### Chips it was not fitted on\n\nMeasured on {card['created_at'][:10]}, {_commit(card['commit'])}. "
        f"Figures are pooled over pixels, except the mean; in brackets {100 * level:.0f} % bootstrap intervals over "
        f"{over}. The real chips are kept for reporting: nothing was trained on them or tuned to them. Events, "
        "shores, areas and single chips are in `docs/card/card.md`.",
        markdown_table(head, (_scores(part) for part in card["parts"] if not _fitted(part))),
    ]
    if fitted := [part for part in card["parts"] if _fitted(part)]:
        parts += [
            f"### Chips of which it was fitted on some\n\n{_fitted(fitted[0])}",
            markdown_table(head, map(_scores, fitted)),
        ]
    if seeds:
        head = ("set", "bands", "pooled IoU, lowest to highest seed", f"{_MEAN}, lowest to highest seed")
        parts += [
            f"### Seeds\n\nThe recipe was run {len(seeds) + 1} times, each time with another seed.",
            markdown_table(head, (_seeds(part) for part in card["parts"])),
        ]
    head = ("set", "bands", "opponent", "by pooled IoU", "by the mean over chips with water")
    rows = (row for part in card["parts"] for row in _opponents(part))
    parts += [
        f"### Against other methods on the same pixels\n\nThis checkpoint is, by a paired bootstrap over {over}:",
        markdown_table(head, rows),
        *(f"Trained for comparison, {name}: {other['training']}." for name, other in card["compared"].items()),
    ]
    return "\n\n".join(parts)


def _commit(described: str) -> str:
    """Return the commit of the measurement as text; it is not named when there were uncommitted changes."""
    stated = stated_commit(described)
    return f"commit {stated}" if stated == UNCOMMITTED else f"commit `{stated}`"


def _fitted(part: Mapping[str, Any]) -> str | None:
    """Return the note that the checkpoint was trained or calibrated on chips of a part; None if it was on none."""
    return next(filter(is_note_on_fitted, part["evaluation"]["notes"]), None)


def _place(part: Mapping[str, Any]) -> tuple[str, str]:
    return f"{part['data']}, {part['split']}", part["bands"]


def _scores(part: Mapping[str, Any]) -> tuple[Any, ...]:
    found = part["evaluation"]
    pooled, mean = found["pooled"], Score.model_validate(found["mean_chip_iou"])
    ece = part["seeds"]["ECE, equal width"]["values"][0]
    iou, false_water = (score_text(Score.model_validate(pooled[name])) for name in ("iou", "false_water"))
    chips = f"{len(found['chips'])} ({mean.chips} with water)"
    return (*_place(part), chips, iou, score_text(mean), false_water, score_text(Score(value=ece)))


def _seeds(part: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*_place(part), *(_spread(part["seeds"][name]) for name in ("pooled IoU", _MEAN)))


def _spread(found: Mapping[str, Any]) -> str:
    mean = Score(value=found["mean"], low=found["low"], high=found["high"])
    return f"mean {score_text(mean)}"


def _opponents(part: Mapping[str, Any]) -> Iterable[tuple[Any, ...]]:
    for name, both in part["comparisons"].items():
        yield (*_place(part), name, *(_word(both[way]) for way in ("pooled", "wet_chips")))


def _word(verdict: Mapping[str, Any]) -> str:
    difference = verdict["difference"]
    if not difference or difference["value"] is None:
        return str(verdict["word"])
    return f"{verdict['word']} ({difference['value']:+.3f})"


def write_cards(bundle: ModelBundle, folder: Path, figures: str | None, page: Path) -> None:
    """Write the model card to `page` and, with the card of the data, beside the weights in `folder`."""
    text = bundle.model_card(figures)
    write_text(page, text)
    write_text(folder / MODEL_CARD_FILE, text)
    write_text(folder / DATASET_CARD_FILE, dataset_card_markdown(bundle.card))


def main() -> None:
    """Write the cards of the shipped checkpoint; without a benchmark they have only its validation figures."""
    bundle = ModelBundle.load(shipped_path())
    figures = measured(read_json(MEASURED), bundle.sha256) if MEASURED.is_file() else None
    write_cards(bundle, shipped_path(), figures, CARD)


if __name__ == "__main__":
    main()
