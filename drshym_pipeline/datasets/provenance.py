"""Where labelled chips come from, and how this is known: one rule for all data sets.

A layout is not a data set. Anyone can write chips in the layout of Sen1Floods11, and the simulator of this package does
so. Therefore an origin is stated only when the data itself shows it, in this order:

1. `simulation.json` of the simulator is in the folder and describes these chips.
2. `dataset.json`, written by the owner of the data, states title, source and licence.
3. Every chip is a known chip of a published set (`known_sets`: by name, size and place, or by checksum).

Otherwise the origin is "unknown". Cards, evaluation logs and the text sent to MLflow use the texts of this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from drshym_pipeline.datasets.known_sets import Recognition, recognise
from drshym_pipeline.datasets.simulator.writer import DONE_MARKER, planned_chips
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Record, describe_validation
from drshym_pipeline.storage import read_json

if TYPE_CHECKING:
    from pathlib import Path

    from drshym_pipeline.datasets.chips import ChipRef
    from drshym_pipeline.datasets.labelled_set import LabelledSet

STATEMENT_FILE = "dataset.json"
UNKNOWN = "unknown"
REMEDY = f"To state the origin, write title, source and licence into {STATEMENT_FILE} in the data folder"


class SetDescription(Record):
    """Description of a data set: the content of a `dataset.json`.

    `form` describes the pixel values, `truth` how the labels were made, and `limits` what a model cannot learn from the
    data. `split_by_event` is True when no event is in two splits.
    """

    title: str = Field(min_length=1)
    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    form: str = "not stated"
    truth: str = "not stated"
    limits: tuple[str, ...] = ()
    split_by_event: bool = False


class Provenance(SetDescription):
    """The origin of a list of chips.

    `origin` is the kind of evidence. `evidence` describes it in a sentence, with the share of a published set that is
    there. The `title` of a partial copy contains that share too.
    """

    origin: Literal["simulated", "stated", "recognised", "unknown"]
    evidence: str


_SIMULATED = SetDescription(
    title="simulated Sentinel-1 scenes",
    source="The simulator of this package: land cover, terrain, water and speckle drawn from a seed. No pixel is taken "
    "from anywhere.",
    form="VV and VH in dB, float32 GeoTIFF, 10 m pixels, NaN where not observed",
    truth="Exact: the simulator knows where it put water. 1 water (calm, wind-roughened, weak in contrast, under "
    "vegetation, between houses), 0 dry, -1 not known.",
    licence="That of this package (MIT): no licence of any data set bears on it.",
    split_by_event=True,
    limits=(
        "No chip has a real pixel: what the simulator does not know, no chip shows.",
        "Flood and permanent water are both water.",
        "Edges of water are sharper and labels better than any that people draw.",
    ),
)


def provenance_of(data: LabelledSet, refs: Sequence[ChipRef]) -> Provenance:
    """Find out where chips come from.

    Args:
        data: The set they belong to.
        refs: The chips that are trained on or scored; other chips in the folder are not considered.

    Raises:
        InputError: `dataset.json` cannot be used, or a file of a chip cannot be read.
    """
    if _is_simulated(data.root, refs):
        return _add_evidence(
            _SIMULATED,
            "simulated",
            f"{DONE_MARKER}, which the simulator writes when it is done, describes these chips.",
        )
    statement = data.root / STATEMENT_FILE
    if statement.is_file():
        return _add_evidence(
            _stated(statement),
            "stated",
            f"As stated in {STATEMENT_FILE} beside the chips. The program did not check it.",
        )
    found = recognise(data.layout, refs)
    if found is not None and found.is_whole_list:
        known = SetDescription(
            title=found.title,
            source=found.known.source,
            licence=found.known.licence,
            form=found.known.form,
            truth=found.known.truth,
            limits=found.known.limits,
        )
        return _add_evidence(known, "recognised", found.sentence())
    return _unknown(data.layout, found)


def _add_evidence(
    description: SetDescription, origin: Literal["simulated", "stated", "recognised", "unknown"], evidence: str
) -> Provenance:
    return Provenance(**description.model_dump(), origin=origin, evidence=evidence)


def _is_simulated(root: Path, refs: Sequence[ChipRef]) -> bool:
    """Return whether the simulator's marker is there and describes all chips."""
    marker = root / DONE_MARKER
    if not marker.is_file():
        return False
    planned = planned_chips(read_json(marker))
    return all(ref.chip_id in planned for ref in refs)


def _stated(path: Path) -> SetDescription:
    try:
        return SetDescription.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(path, describe_validation(error), "Write title, source and licence as text") from error


def _unknown(layout: str, found: Recognition | None) -> Provenance:
    shown = f"no {DONE_MARKER} that describes them and no {STATEMENT_FILE}"
    known = f" {found.known_part()}." if found is not None else ""
    return Provenance(
        origin="unknown",
        title=f"{UNKNOWN} origin, in the layout of {layout}",
        source=UNKNOWN,
        licence=UNKNOWN,
        form=UNKNOWN,
        truth="unknown: who made the labels, and how, is not known",
        limits=("Where these chips come from is not known to the program. A layout alone does not say it.",),
        evidence=f"The folder has the layout of {layout}, but {shown}.{known}",
    )
