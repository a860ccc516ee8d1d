"""The files of an evaluation: the figures as JSON, the card as Markdown, chips and slices as tables."""

from __future__ import annotations

from pathlib import Path

from drshym_pipeline.evaluation.card import markdown
from drshym_pipeline.evaluation.evaluation import Evaluation
from drshym_pipeline.storage import write_json, write_text

FILES = ("evaluation.json", "evaluation.md", "chips.csv", "slices.csv")


def write_evaluation(evaluation: Evaluation, directory: Path) -> dict[str, Path]:
    """Write evaluation.json, evaluation.md, chips.csv and slices.csv, each atomically; other files stay.

    Args:
        evaluation: The evaluation to write.
        directory: Folder of the files; created when it is missing.

    Returns:
        The paths by file name. Undefined figures are empty cells in the tables.
    """
    paths = {name: directory / name for name in FILES}
    write_text(paths["chips.csv"], evaluation.chips().to_csv())
    write_text(paths["slices.csv"], evaluation.slices.to_csv(index=False))
    write_text(paths["evaluation.md"], markdown(evaluation))
    write_json(paths["evaluation.json"], evaluation.to_dict())
    return paths
