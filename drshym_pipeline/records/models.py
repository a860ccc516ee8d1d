"""The records of one model: its identity, its calibration, the data it was trained on and its scores."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from drshym_pipeline.records.base import BandMode, Record, now


class ModelReference(Record):
    """Which model made a map, identified by the hash of its content."""

    name: str
    version: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    source: Literal["shipped", "registry", "checkpoint"]

    @property
    def label(self) -> str:
        """Name and version as text; only the version if it begins with the name."""
        return self.version if self.version.startswith(self.name) else f"{self.name} {self.version}"


class Calibration(Record):
    """How logits become probabilities (sigmoid(logit / T + bias)) and how probabilities become a map (`threshold`).

    `method` is `platt` with a bias and `temperature` without one. If it is left out, it is derived from the bias.
    """

    method: Literal["temperature", "platt"] = "temperature"
    T: float = Field(default=1.0, gt=0.0)
    bias: float = 0.0
    threshold: float = Field(default=0.5, gt=0.0, lt=1.0)

    @model_validator(mode="before")
    @classmethod
    def _method_follows_from_the_bias(cls, values: Any) -> Any:
        if isinstance(values, dict) and "method" not in values and values.get("bias"):
            return {**values, "method": "platt"}
        return values

    def text(self) -> str:
        """Return text such as `temperature=1.2`, or `temperature=1.2, bias=0.3` if there is a bias."""
        return f"temperature={self.T:.3g}" + (f", bias={self.bias:.3g}" if self.bias else "")


class Score(Record):
    """One score with its bootstrap interval; None if it is not defined (no water, no chips).

    There is no interval when fewer than two events count in the figure or, if all chips are of one event, fewer than
    two chips. `events` is the number of events of the chips. The interval is over events and their chips, or over the
    chips of one event. Scores without resampling, and those of earlier releases, have no `events`; the latter have
    intervals over chips.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    chips: int = 0
    events: int | None = None


NO_INTERVAL: Final = "no interval"


def resampling_text(events: int | None) -> str:
    """Return over what an interval was resampled, such as `events and their chips`.

    Args:
        events: The number of events of the chips; None for scores of earlier releases, which resampled chips.
    """
    if events is None:
        return "whole chips"
    return "the chips of one event" if events == 1 else "events and their chips"


class CardIou(Record):
    """The IoU on a model's card, by band mode; `chips` and `data` say on which chips it was measured."""

    chips: str
    data: str | None = None
    by_mode: dict[BandMode, Score]


class DataSplit(Record):
    """One split of a data set: how many chips, of how many events, and what they were used for."""

    chips: int
    events: int
    use: str


class DataCard(Record):
    """The description of a data set: its origin, form and truth, its splits and its limits.

    `beside` names other sets that were used for training, one line each. `origin` says how the origin of the data is
    known, and `evidence` says it in a sentence (`datasets.provenance`); cards of earlier releases have neither.
    """

    title: str
    source: str
    form: str
    truth: str
    licence: str
    split_by_event: bool
    splits: dict[str, DataSplit]
    sha256: str
    limits: tuple[str, ...]
    beside: tuple[str, ...] = ()
    origin: Literal["simulated", "stated", "recognised", "unknown"] | None = None
    evidence: str = ""


class ModelCard(Record):
    """The description of a model: what it was trained on, how good it is and where it must not be used.

    `data` is None for a model that was converted from another system.
    """

    name: str
    version: str
    architecture: str
    encoder: str
    parameters: int
    bands: BandMode
    training_data: str
    training_sha256: str
    scores: dict[str, dict[str, Score]]
    intended_use: str
    limits: tuple[str, ...]
    data: DataCard | None = None
    created_at: datetime = Field(default_factory=now)
