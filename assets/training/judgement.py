"""The judgement of a candidate: its scores on held-out chips, the files of the evaluation and one `verdict.json`."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drshym_pipeline.errors import InputError
from drshym_pipeline.progress import Progress
from drshym_pipeline.storage import read_json, write_bytes, write_json

if TYPE_CHECKING:
    from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
    from drshym_pipeline.evaluation.evaluation import Evaluation
    from drshym_pipeline.evaluation.verdict import Verdict
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.settings import Floors, TrainConfig

TEST, HARD = "test", "hard"
VV_AND_VH, VV_ALONE = "VV and VH", "VV alone"
VERDICT_FILE = "verdict.json"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict about a candidate, and the figures behind it.

    Args:
        verdict: `better`, `not distinguishable`, `worse` or `broken`: against the model in service on the test split.
        reason: One sentence with the figures.
        opponent: The model in service it was compared with.
        sha256: The content hash of the candidate.
        comparisons: One row per opponent, split and bands: the verdict, the difference of IoU and its interval.
        metrics: Pooled figures by name, such as `test_iou`.
        finite: Whether every weight and every output on the test chips is finite.
    """

    verdict: str
    reason: str
    opponent: str
    sha256: str
    comparisons: list[dict[str, Any]]
    metrics: dict[str, float]
    finite: bool = True  # not in older files: earlier releases stopped when values were not finite

    def save(self, folder: Path) -> None:
        """Write the judgement into the folder of its evaluation."""
        write_json(folder / VERDICT_FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "Judgement":
        """Read the judgement in the folder of an evaluation.

        Raises:
            InputError: There is none.
        """
        if not (folder / VERDICT_FILE).is_file():
            raise InputError(folder, "holds no judgement of a candidate", "Materialise slice_reports first")
        return cls(**read_json(folder / VERDICT_FILE))


def judge(
    candidate: "ModelBundle",
    served: "ModelBundle",
    data: "Sen1Floods11",
    config: "TrainConfig",
    folder: Path,
    *,
    progress: Progress,
) -> "tuple[Judgement, dict[str, Evaluation]]":
    """Score a candidate and the model in service on the same held-out chips, and compare them.

    On the split `test` they are compared with all bands of the chips, and with VV alone: see `joint_verdict`.

    Args:
        candidate: The sealed bundle.
        served: The model in service.
        data: The chips; the split `test` decides, the split `hard` is reported where there is one.
        config: Floors and intervals.
        folder: Where the evaluations are written, one folder per split.
        progress: Called after every chip.

    Returns:
        The judgement and the candidate's evaluations by split.
    """
    from drshym_pipeline.datasets.provenance import provenance_of
    from drshym_pipeline.evaluation.comparison import compare_all
    from drshym_pipeline.evaluation.evaluate import evaluate
    from drshym_pipeline.evaluation.files import write_evaluation
    from drshym_pipeline.evaluation.verdict import joint_verdict
    from drshym_pipeline.settings import Floors

    options: dict[str, Any] = {"invalid_label": config.data.invalid_label, "config": config.evaluation}
    evaluations, rows, decisive, finite = {}, [], None, True
    metrics: dict[str, float] = {}
    for split in (name for name in (TEST, HARD) if name in data.splits()):
        refs = data.chips(split)
        options["provenance"] = provenance_of(data, refs)
        found = evaluate(candidate, refs, progress=_named(progress, f"{split}: candidate"), **options)
        other = evaluate(served, refs, progress=_named(progress, f"{split}: in service"), **options)
        write_evaluation(found, folder / split)
        floors = config.floors if split == TEST else Floors()
        verdicts = {_bands(found, other): _verdict(found, other, floors)}
        if split == TEST and VV_ALONE not in verdicts and _maps_vv(candidate, served):
            alone = {"mode": "vv", "classical": False, **options}
            ours = evaluate(candidate, refs, progress=_named(progress, f"{split}, VV alone: candidate"), **alone)
            theirs = evaluate(served, refs, progress=_named(progress, f"{split}, VV alone: in service"), **alone)
            write_evaluation(ours, folder / f"{split}_vv_alone")
            # The floors are those of the main figures; VV alone is weaker.
            verdicts[VV_ALONE] = _verdict(ours, theirs, Floors())
            metrics |= {
                f"{split}_vv_{name}": score.value for name, score in ours.scores.items() if score.value is not None
            }
            finite = finite and ours.finite
        in_service = f"in service: {served.name} {served.version}"
        rows += [_row(split, in_service, outcome, bands) for bands, outcome in verdicts.items()]
        rows += [_row(split, name, item.pooled, next(iter(verdicts))) for name, item in compare_all(found).items()]
        evaluations[split] = found
        finite = finite and found.finite
        decisive = decisive or joint_verdict(verdicts)
    if decisive is None:
        raise ValueError(f"the data set has no {TEST} split")
    metrics |= {f"{split}_{name}": value for split, found in evaluations.items() for name, value in _figures(found)}
    opponent = f"{served.name} {served.version} ({served.sha256[:12]})"
    judgement = Judgement(decisive.word, decisive.reason, opponent, candidate.sha256, rows, metrics, finite)
    return judgement, evaluations


def _bands(found: "Evaluation", other: "Evaluation") -> str:
    """Return the bands that at least one of two models read where the chips have them."""
    both = "vv_vh" in {*found.counts["mode"], *other.counts["mode"]}
    return VV_AND_VH if both else VV_ALONE


def _maps_vv(*bundles: "ModelBundle") -> bool:
    """Return whether all models are calibrated for scenes with VV alone; a converted model may not be."""
    return all("vv" in bundle.calibration for bundle in bundles)


def _verdict(found: "Evaluation", other: "Evaluation", floors: "Floors") -> "Verdict":
    from drshym_pipeline.evaluation.verdict import verdict

    options: dict[str, Any] = {"finite": found.finite, "resamples": found.resamples, "level": found.level}
    return verdict(found.counts, other.counts, floors, **options)


def _named(progress: Progress, name: str) -> Progress:
    return lambda stage, done, total: progress(name, done, total)


def _row(split: str, opponent: str, outcome: "Verdict", bands: str) -> dict[str, Any]:
    difference = outcome.difference
    return {
        "split": split,
        "against": opponent,
        "bands": bands,
        "verdict": outcome.word,
        "difference of IoU": difference.value if difference else None,
        "low": difference.low if difference else None,
        "high": difference.high if difference else None,
        "reason": outcome.reason,
    }


def _figures(found: "Evaluation") -> list[tuple[str, float]]:
    pooled: list[tuple[str, float]] = [
        (str(name), score.value) for name, score in found.scores.items() if score.value is not None
    ]
    for mode, item in found.calibration().items():
        pooled += [(f"{mode}_{name}", value) for name, value in item["after"].items() if value is not None]
    return pooled


def evaluation_plots(evaluations: "Mapping[str, Evaluation]", folder: Path) -> dict[str, bytes]:
    """Draw the pictures of the evaluations, by title; also written to `folder` for the registry."""
    from drshym_pipeline.evaluation.plots import chip_scores, precision_recall, slice_bars
    from drshym_pipeline.evaluation.slices import SLICINGS

    test = evaluations[TEST]
    plots = {f"IoU by {slicing}": slice_bars(test, slicing) for slicing in SLICINGS}
    plots |= {f"IoU by chip, {split}": chip_scores(found) for split, found in evaluations.items()}
    plots["precision and recall"] = precision_recall(test)
    for title, png in plots.items():
        write_bytes(folder / f"{re.sub('[^a-z]+', '_', title.lower())}.png", png)
    return plots
