"""One model: which it is, how its logits become probabilities, what it was trained on and how good it is."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, model_validator

from drshym_pipeline.records.base import BandMode, Record, now


class ModelReference(Record):
    """Which model made a map, pinned by content."""

    name: str
    version: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    source: Literal["shipped", "registry", "checkpoint"]

    @property
    def label(self) -> str:
        """Name and version for people; a version that begins with the name stands alone."""
        return self.version if self.version.startswith(self.name) else f"{self.name} {self.version}"


class Calibration(Record):
    """How logits become probabilities: sigmoid(logit / T + bias), then a map by `threshold`.

    `method` is `platt` with a bias and `temperature` without; left out, it follows from the bias.
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
        """Such as `temperature=1.2` or `temperature=1.2, bias=0.3`; the bias is named only where there is one."""
        return f"temperature={self.T:.3g}" + (f", bias={self.bias:.3g}" if self.bias else "")


class Score(Record):
    """One figure with its bootstrap interval over chips; None where it is not defined (no water, no chips)."""

    value: float | None
    low: float | None = None
    high: float | None = None
    chips: int = 0


class CardIou(Record):
    """The IoU a model's card states, by band mode; `chips` and `data` say of which chips."""

    chips: str
    data: str | None = None
    by_mode: dict[BandMode, Score]


class DataSplit(Record):
    """One split of a data set: how many chips, of how many events, and what they were used for."""

    chips: int
    events: int
    use: str


class DataCard(Record):
    """What a data set is: its origin, form and truth, its splits, and what it cannot teach.

    `beside` names other sets that were trained on, one line each. `origin` says what shows where the data comes
    from, and `evidence` says so in words (`datasets.provenance`); cards of earlier releases have neither.
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
    """What a model is, what it was trained on, how good it is and where it must not be used.

    `data` is None for a model that was converted from elsewhere.
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
