"""The contents of a bundle's `model.json`: values only, checked when they are read."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.assessment.novelty import NoveltyModel
from drshym_pipeline.records import BandMode, Calibration, ModelCard, Record
from drshym_pipeline.settings import NetworkConfig


class Normalisation(Record):
    """How dB became the network's input: clip((dB - low) / (high - low), 0, 1), 0 where not observed.

    Only the range that this program uses is allowed, so a bundle with another range is refused instead of used wrongly.
    """

    unit: Literal["dB"] = "dB"
    low: Literal[-30] = -30
    high: Literal[0] = 0


class FittedChips(Record):
    """The chips that a bundle was fitted on, as `datasets.sources.short_digest` of their images.

    `training` has the chips of the training and, if their record is known, those of the bundle that the training
    started from. `calibration` has the validation chips, which decide when the training ends, and the chips of the
    other calibration sets.
    """

    training: tuple[str, ...]
    calibration: tuple[str, ...]


class BundleRecord(Record):
    """The contents of `model.json`, apart from its hash.

    `calibration` and `area_errors` have one entry per band mode: for a `vv_vh` network, scenes with VV alone are a mode
    of their own. `novelty` is empty for models of earlier releases, and has no entry for a mode with too few chips.
    `fitted_chips` is None for models of earlier releases and for converted ones.
    `training` is the recipe as plain values, None for a converted model. It is not validated, because an
    option that is renamed later must not make an old bundle unreadable.
    """

    format: Literal["drshym-bundle/2"] = "drshym-bundle/2"
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    version: str = Field(min_length=1)
    architecture: Literal["unet"] = "unet"
    network: NetworkConfig
    normalisation: Normalisation = Normalisation()
    default_mode: BandMode
    calibration: dict[BandMode, Calibration] = Field(min_length=1)
    area_errors: dict[BandMode, AreaErrorModel]
    novelty: dict[BandMode, NoveltyModel] = Field(default_factory=dict)
    fitted_chips: FittedChips | None = None
    training_sha256: str
    training: dict[str, Any] | None
    card: ModelCard
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    weights_dtype: Literal["float16", "float32"]
    software: dict[str, str]
