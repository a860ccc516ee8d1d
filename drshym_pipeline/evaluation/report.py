"""The files of a benchmark: card.md, card.json, chips.csv and pictures; the card is written last.

Their content comes from `benchmark_card`, `plots` and `gallery`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from drshym_pipeline.evaluation.benchmark_card import benchmark_markdown
from drshym_pipeline.evaluation.comparison import Comparison, compare_all
from drshym_pipeline.evaluation.evaluation_log import running_version
from drshym_pipeline.evaluation.gallery import draw_gallery, worst_chips
from drshym_pipeline.evaluation.mapper import ChipMapper
from drshym_pipeline.evaluation.plots import chip_scores, precision_recall, reliability_of
from drshym_pipeline.evaluation.suite import Part
from drshym_pipeline.records import now
from drshym_pipeline.storage import write_bytes, write_json, write_text

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

CARD, DATA, CHIPS = "card.md", "card.json", "chips.csv"
_COLOURS = 32
_PICTURE = re.compile(r"!\[[^]]*\]\((\w+\.png)\)")


def write_report(parts: Sequence[Part], bundle: ModelBundle, directory: Path) -> dict[str, Path]:
    """Write the files of a benchmark.

    Args:
        parts: The scored parts.
        bundle: The first checkpoint, to draw its maps.
        directory: Folder of the files. Files of the same names are replaced, and pictures that only an earlier card in
            this folder shows are removed. The card is written last.

    Returns:
        The paths of card, data and table by file name.
    """
    comparisons = [compare_all(part.first, part.others) for part in parts]
    pictures: list[dict[str, str]] = []
    for part in parts:
        shown: dict[str, str] = {}
        for title, png in _pictures(part, bundle).items():
            name = f"{_slug(part.title)}_{_slug(title)}.png"
            write_bytes(directory / name, _smaller(png))
            shown[f"{title}: {part.title}"] = name
        pictures.append(shown)
    paths = {name: directory / name for name in (CHIPS, DATA, CARD)}
    earlier = _shown_in(paths[CARD])
    write_text(paths[CHIPS], chip_table(parts).to_csv(index=False))
    write_json(paths[DATA], benchmark_document(parts, comparisons))
    write_text(paths[CARD], benchmark_markdown(parts, comparisons, pictures))
    for name in earlier - {name for shown in pictures for name in shown.values()}:
        (directory / name).unlink(missing_ok=True)
    return paths


def _shown_in(card: Path) -> set[str]:
    """Return the names of the pictures beside a card that it shows; none where there is no card."""
    return set(_PICTURE.findall(card.read_text("utf-8"))) if card.is_file() else set()


def chip_table(parts: Sequence[Part]) -> pd.DataFrame:
    """Return one row per chip, mode and method.

    The columns are data, split, checkpoint, role, chip, event, mode, the counts and every figure.
    """
    frames = []
    for part in parts:
        roles = {f"seed {place}": found for place, found in enumerate(part.seeds, start=1)} | dict(part.others)
        for role, found in roles.items():
            frame = found.chips().reset_index()
            frame.insert(0, "role", role)
            for name, value in (("checkpoint", found.model["sha256"][:12]), ("split", part.sample.split)):
                frame.insert(0, name, value)
            frame.insert(0, "data", part.sample.data)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def benchmark_document(parts: Sequence[Part], comparisons: Sequence[Mapping[str, Comparison]]) -> dict[str, Any]:
    """Return everything as one JSON value, not rounded; undefined figures are null.

    Keys: `created_at`, `commit`, `checkpoints` (name, version, sha256, training; the first is the subject of the card),
    `compared` (the same by name) and `parts`, each with `data`, `split`, `bands`, `evaluation` (as in evaluation.json,
    without its logits), `seeds` (mean, deviation, low, high and values of every figure), `others` (their figures) and
    `comparisons` (both verdicts by the name of the other method).
    """
    return {
        "created_at": now().isoformat(),
        "commit": running_version(),
        "checkpoints": [dict(found.model) for found in parts[0].seeds],
        "compared": {name: dict(found.model) for name, found in parts[0].others.items()},
        "parts": [
            {
                "data": part.sample.data,
                "split": part.sample.split,
                "bands": part.bands,
                "evaluation": {name: value for name, value in part.first.to_dict().items() if name != "logits"},
                "seeds": {name: spread.to_dict() for name, spread in part.spread().items()},
                "others": {
                    name: {
                        "iou": found.scores["iou"].model_dump(),
                        "mean_chip_iou": found.mean_chip_iou.model_dump(),
                        "false_water": found.scores["false_water"].model_dump(),
                    }
                    for name, found in part.others.items()
                },
                "comparisons": {name: item.to_dict() for name, item in compared.items()},
            }
            for part, compared in zip(parts, comparisons, strict=True)
        ],
    }


def _pictures(part: Part, bundle: ModelBundle) -> dict[str, bytes]:
    found, mode = part.first, part.first.main_mode
    pictures = {"precision and recall": precision_recall(found)}
    if mode is not None:
        title = f"Reliability, {part.title}"
        pictures["reliability"] = reliability_of(found.histograms[mode], found.calibrations[mode], title)
    pictures["IoU by chip"] = chip_scores(found)
    if shown := worst_chips(found):
        title = "every chip" if len(shown) == len(found.counts) else "the worst chips"
        pictures[title] = draw_gallery(part.sample.refs, shown, ChipMapper(bundle, part.mode), found)
    return pictures


def _smaller(png: bytes) -> bytes:
    """Return the same picture in fewer colours, because cards are stored in a repository."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(_COLOURS).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
