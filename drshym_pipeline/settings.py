"""Typed configuration: the keys of YAML files and environment variables, with every default in one place.

An unknown key is an error that names the key and the most similar known key. Values are checked here; the modules that
use them decide what they mean.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from drshym_pipeline.errors import InputError, one_line
from drshym_pipeline.records import (
    HIGH_ABOVE_DRAINAGE_M,
    STEEP_SLOPE_DEG,
    BandMode,
    MinAreaHa,
    PrecisionOption,
    TerrainLimits,
    describe_validation,
)
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE, LARGEST_TILE

SEED = 42
HOME_FOLDER = ".dagster"
ENVIRONMENT_PREFIX = "DRSHYM_"

ThresholdAim = Literal["pooled_f1", "mean_iou"]
LossName = Literal["bce", "bce_dice", "focal_dice", "focal_tversky", "boundary", "bce_dice_boundary"]


class Section(BaseModel):
    """Base of all configuration sections: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SimulatedData(Section):
    """How many labelled chips the simulator writes, and of what size."""

    seed: int = Field(default=SEED, description="seed of the simulator; another one gives other chips")
    train: int = Field(default=96, ge=1, description="training chips")
    valid: int = Field(default=24, ge=1, description="validation chips")
    test: int = Field(default=24, ge=1, description="test chips")
    hard: int = Field(default=24, ge=0, description="test chips with wind and look-alikes of water; 0 = no such split")
    wind: int = Field(default=0, ge=0, description="test chips with water under wind only; 0 = no such split")
    size: int = Field(default=256, ge=64, description="side of a chip, in pixels")


class SourceConfig(Section):
    """A real set, used for training in addition to the main set.

    `weight` is the share of all crops drawn from it, `label_weight` the weight of its labels in the loss, and `events`
    are the names of the events (of `real_land`: places) to use, all events if empty. `laid_water` is the share of its
    crops into which water of the main set is copied, so that real land is not always dry. Only `real_land` comes with
    the package, so only its `root` may be left out.
    """

    kind: Literal["etci2021", "ombria", "emsr763", "real_land"] = Field(description="layout of the folder")
    root: Path | None = Field(
        default=None, description="the folder; none with kind real_land = the set that comes with the package"
    )
    weight: float = Field(default=0.1, gt=0, lt=1, description="share of all crops drawn from it")
    label_weight: float = Field(
        default=0.5, gt=0, le=1, description="weight of its labels in the loss; 1 = as a hand label"
    )
    events: tuple[str, ...] = Field(default=(), description="names of the events or places to use; empty = all")
    laid_water: float = Field(
        default=0.0, ge=0, le=1, description="share of its crops into which water of the main set is copied"
    )

    @model_validator(mode="after")
    def _has_a_folder(self) -> SourceConfig:
        if self.root is None and self.kind != "real_land":
            raise ValueError(f"root must be given: the set {self.kind} does not come with the package")
        return self


class CalibrationSource(Section):
    """A real set whose chips are added to the validation chips for calibration, and are never trained on.

    `weight` is the share of the set in the fits of temperature, bias and threshold, `events` are the names of the
    events (of `real_land`: places) to use, all events if empty.
    """

    kind: Literal["real_land"] = Field(description="layout of the folder")
    root: Path | None = Field(default=None, description="the folder; none = the set that comes with the package")
    weight: float = Field(default=0.25, gt=0, lt=1, description="share of the set in temperature, bias and threshold")
    events: tuple[str, ...] = Field(default=(), description="names of the events or places to use; empty = all")


class DataConfig(Section):
    """Where the labelled chips come from.

    `root` is a folder in the layout of Sen1Floods11 (the one that contains `data/` and `splits/`). With `kind:
    simulated` the simulator fills the folder if it is empty, and without `root` a folder named after the settings is
    used. The chips of `sources` are used only for training, those of `calibration` only for the temperature, the bias,
    the threshold and the area intervals. The score that decides which weights are kept uses only the main set.
    """

    kind: Literal["simulated", "sen1floods11"] = Field(
        default="simulated",
        description="simulated: the simulator writes the chips; sen1floods11: a folder in the layout of Sen1Floods11, "
        "with any chips",
    )
    root: Path | None = Field(
        default=None,
        description="folder that contains data/ and splits/; none with kind simulated = a folder named after the "
        "settings",
    )
    simulated: SimulatedData = Field(default=SimulatedData(), description="what the simulator writes")
    labels: Literal["hand", "weak", "combined"] = Field(
        default="hand", description="labels to train on; validation and test always use hand labels"
    )
    invalid_label: Literal["ignore", "non_flood"] = Field(
        default="ignore", description="meaning of a label of -1 in training: ignored, or dry land"
    )
    sources: tuple[SourceConfig, ...] = Field(
        default=(), description="real sets used for training together with the main set, a list of sections"
    )
    calibration: tuple[CalibrationSource, ...] = Field(
        default=(), description="real sets used for calibration together with the validation chips, a list of sections"
    )

    @model_validator(mode="after")
    def _leave_the_main_set_a_share(self) -> DataConfig:
        if sum(source.weight for source in self.sources) >= 1:
            raise ValueError(
                "the weights of all sources must add up to less than 1, because the rest is the main set's share"
            )
        if sum(source.weight for source in self.calibration) >= 1:
            raise ValueError(
                "the weights of all calibration sets must add up to less than 1, because the rest is the main set's "
                "share"
            )
        return self


class NetworkConfig(Section):
    """The network. `start` is `random`, `imagenet` (downloaded once), `shipped` or a bundle's path.

    `decoder_channels` has one width per decoder stage; with fewer stages the encoder has fewer stages too. With
    `stem: half` the U-Net works on blocks of 2 x 2 pixels and has at most four decoder stages.
    """

    encoder: str = Field(default="resnet18", description="encoder of the U-Net, such as resnet18 or resnet50")
    stem: Literal["full", "half"] = Field(
        default="full", description="half works on blocks of 2 x 2 pixels: faster, and with at most four decoder stages"
    )
    norm: Literal["batch", "group"] = Field(default="batch", description="normalisation layers: BatchNorm or GroupNorm")
    bands: BandMode = Field(default="vv_vh", description="bands the network reads; vv_vh also maps scenes of VV alone")
    decoder_channels: tuple[int, ...] = Field(
        default=(256, 128, 64, 32, 16),
        description="one width per decoder stage; with fewer stages the encoder has fewer stages too",
    )
    context: Literal["none", "dilated", "attention"] = Field(
        default="none",
        description="layer at the lowest resolution that combines a larger area: dilated convolutions, or attention",
    )
    start: str = Field(
        default="random",
        description="initial weights: random, imagenet (downloaded once), shipped, or the path of a bundle",
    )


class TrainingConfig(Section):
    """The settings of the training. Lengths are in optimiser steps, so they do not depend on the size of the set."""

    crop: int = Field(default=256, ge=32, description="side of a training crop, in pixels; a multiple of 32")
    batch_size: int = Field(default=8, ge=1, description="crops per optimiser step")
    max_steps: int = Field(default=2000, ge=1, description="optimiser steps at most")
    validate_every: int = Field(default=100, ge=1, description="optimiser steps between two validations")
    patience: int = Field(default=8, ge=1, description="validations without a better score after which training stops")
    learning_rate: float = Field(default=1e-3, gt=0, description="highest learning rate of AdamW")
    weight_decay: float = Field(default=1e-2, ge=0, description="weight decay of the convolution kernels")
    warmup_steps: int = Field(default=50, ge=0, description="steps in which the learning rate rises from 0")
    loss: LossName = Field(default="bce_dice", description="loss function; bce is binary cross-entropy")
    ema: float = Field(default=0.998, ge=0, lt=1, description="decay of the average of the weights; 0 = none")
    water_share: float = Field(default=0.5, ge=0, le=1, description="share of crops drawn from tiles with water")
    drop_vh: float = Field(default=0.3, ge=0, le=1, description="share of crops trained on VV alone")
    hard_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of crops whose chips are drawn in proportion to their running loss",
    )
    weak_weight: float = Field(default=0.5, gt=0, description="weight of a weak label in the loss; 1 = as a hand label")
    mixup: float = Field(default=0.0, ge=0, description="both parameters of mixup's beta distribution; 0 = no mixing")
    jitter_gain_db: float = Field(default=1.0, ge=0, description="standard deviation of an offset of all bands, in dB")
    jitter_band_db: float = Field(default=0.33, ge=0, description="standard deviation of an offset per band, in dB")
    jitter_noise_db: float = Field(default=0.5, ge=0, description="standard deviation of white noise, in dB")
    keep_best: Literal["pooled", "mean", "last"] = Field(
        default="mean",
        description="validation IoU that decides which weights are kept: pooled, or mean over chips with water; "
        "last = the last weights",
    )
    precision: PrecisionOption = Field(
        default="auto", description="number format of the network; auto = bf16 if the device is fast with it"
    )
    workers: int = Field(default=0, ge=0, description="processes that make crops; 0 = a thread of the training process")


class Floors(Section):
    """A candidate that scores below one of these on the test split is `broken` and cannot be promoted."""

    iou: float = Field(default=0.0, ge=0, le=1, description="lowest pooled IoU on the test split")
    f1: float = Field(default=0.0, ge=0, le=1, description="lowest pooled F1 on the test split")


class FloorsByData(Section):
    """The floors of each data set: a score that is good on one set may be bad on another."""

    simulated: Floors = Field(default=Floors(), description="floors for recipes with data.kind simulated")
    sen1floods11: Floors = Field(default=Floors(), description="floors for recipes with data.kind sen1floods11")


class EvaluationConfig(Section):
    """How a candidate is judged. Only the `floors` of the data set it was trained on are used."""

    floors: FloorsByData = Field(default=FloorsByData(), description="scores below which a candidate is broken")
    bootstrap: int = Field(
        default=1000, ge=100, description="bootstrap resamples of every interval, over events and their chips"
    )
    interval: float = Field(default=0.9, gt=0, lt=1, description="level of every interval")
    threshold_for: ThresholdAim = Field(default="mean_iou", description="score that the threshold is chosen for")


class TrainConfig(Section):
    """One training recipe, as `drshym train --config` and the training assets read it."""

    name: str = Field(
        default="unet_resnet18",
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="name of the model and of its folder in runs/",
    )
    seed: int = Field(default=SEED, description="seed of everything random in the training")
    data: DataConfig = Field(default=DataConfig(), description="where the labelled chips come from")
    network: NetworkConfig = Field(default=NetworkConfig(), description="the network and its initial weights")
    training: TrainingConfig = Field(default=TrainingConfig(), description="the optimiser, the crops and the loss")
    evaluation: EvaluationConfig = Field(default=EvaluationConfig(), description="how a candidate is judged")
    promote: Literal["review", "better"] = Field(
        default="review",
        description="review: a reviewer decides; better: a candidate that is better is put in service automatically",
    )

    @property
    def floors(self) -> Floors:
        """The floors of the recipe's own data set; zero if it has none."""
        floors: Floors = getattr(self.evaluation.floors, self.data.kind, Floors())
        return floors


ConfigT = TypeVar("ConfigT", bound=BaseModel)


def _known_keys(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Return the keys allowed at a place of a configuration; empty if the place is not a section."""
    current: Any = model
    for part in path:
        if isinstance(part, int):
            # A list of sections: its entries have the keys of their section.
            current = next(iter(get_args(current)), None)
            continue
        field = current.model_fields.get(str(part)) if hasattr(current, "model_fields") else None
        if field is None:
            return []
        current = field.annotation
    return list(current.model_fields) if hasattr(current, "model_fields") else []


def parse_config(model: type[ConfigT], values: Any, subject: str) -> ConfigT:
    """Check parsed values against a configuration model.

    Args:
        model: The section to build.
        values: What the YAML file holds; None counts as empty.
        subject: The file or place that an error names.

    Raises:
        InputError: For the first fault: an unknown key (with the most similar known key), or a value out of its range.
    """
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise InputError(subject, "the top level must be a mapping of keys to values", "See configs/ for examples")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] != "extra_forbidden":
            raise InputError(
                subject,
                describe_validation(error).replace("field", "key", 1),
                "Correct the value; configs/ has examples",
            ) from error
        *parents, key = first["loc"]
        known = _known_keys(model, tuple(parents))
        near = difflib.get_close_matches(str(key), known, n=1)
        name = ".".join(str(part) for part in first["loc"])
        remedy = f"Did you mean '{near[0]}'?" if near else f"Known keys here: {', '.join(known)}"
        raise InputError(subject, f"unknown key '{name}'", remedy) from error


def load_config(path: Path, model: type[ConfigT]) -> ConfigT:
    """Read a YAML configuration file.

    Raises:
        InputError: The file is missing, unreadable or not YAML, or has a key or value that the model does not allow.
    """
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(path, "the configuration file does not exist", "Check the path; see configs/") from error
    except OSError as error:
        raise InputError(path, f"the configuration cannot be read ({error.strerror})", "Name a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, f"not valid YAML ({one_line(error)})", "Correct the syntax") from error
    return parse_config(model, values, str(path))


def find_checkout(start: Path | None = None) -> Path | None:
    """Return the checkout of the pipeline that contains a folder, or None.

    Args:
        start: The folder; the working directory by default.
    """
    here = (start or Path.cwd()).resolve()
    marks = ("workspace.yaml", "drshym_pipeline")
    return next((folder for folder in (here, *here.parents) if all((folder / mark).exists() for mark in marks)), None)


def find_home(start: Path | None = None) -> Path:
    """Return the folder of all state: `$DAGSTER_HOME`, or `.dagster` in the checkout around `start`, or in `start`.

    Args:
        start: The folder; the working directory by default.
    """
    if home := os.environ.get("DAGSTER_HOME"):
        return Path(home)
    return (find_checkout(start) or (start or Path.cwd()).resolve()) / HOME_FOLDER


def is_address(place: str) -> bool:
    """Return whether a text is an address with a scheme, and no path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", place) is not None


def _place_text(value: Any) -> Any:
    """Return a place as text: a path is normalised, an address stays as it is."""
    if not isinstance(value, str | os.PathLike):
        return value
    text = os.fspath(value)
    if not text.strip():  # `Path` makes the current folder of it
        raise ValueError("must not be empty")
    return text if is_address(text) else str(Path(text))


PlaceText = Annotated[str, BeforeValidator(_place_text)]
"""A folder, or the address of a bucket."""

ReferenceOption = Literal["auto", "side-car", "none"]
"""What the maps of the watched folder are compared with."""


@dataclass(frozen=True)
class ReferenceOptions:
    """What the maps of the watched folder are compared with.

    Args:
        reference: The setting `reference`.
        ancillary: The folder or address of long-term layers and elevation; None where they are not used.
        limits: The limits of slope and height; steeper or higher ground is excluded.
    """

    reference: ReferenceOption
    ancillary: str | None
    limits: TerrainLimits


class PipelineSettings(BaseSettings):
    """Settings that the Dagster code location and the command read from the environment (prefix `DRSHYM_`).

    Paths that are not set are inside `home`: `store` for all artefacts, `inbox` for the watched folder, and a SQLite
    file for `mlflow_uri`.
    """

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="ignore", frozen=True)

    home: Path = Field(default_factory=find_home)
    store: Path | None = None
    inbox: Path | None = None
    train_config: Path | None = None
    mlflow_uri: str | None = None
    mlflow_ui: str = "http://127.0.0.1:5000"
    dagster_ui: str = "http://127.0.0.1:3000"
    tile: int = Field(default=DEFAULT_TILE, ge=1, le=LARGEST_TILE)
    overlap: int = Field(default=DEFAULT_OVERLAP, ge=0)
    batch_size: int | None = Field(default=None, ge=1)
    precision: PrecisionOption = "auto"
    min_area_ha: MinAreaHa = Field(
        default=0.0, description="smallest water area of a map, in hectares; smaller ones become dry, 0 keeps all"
    )
    ancillary: PlaceText | None = Field(
        default=None,
        description="folder or s3:// address of tiles of long-term water maps and elevation; none are used without it",
    )
    ancillary_cache: Path | None = Field(default=None, description="folder for local copies of the tiles of an address")
    ancillary_cache_gb: float = Field(
        default=20.0, ge=0, description="size of all these copies in gigabytes; copies that are in use stay"
    )
    exclude_slope_deg: float = Field(
        default=STEEP_SLOPE_DEG, gt=0, le=90, description="slope in degrees from which ground is excluded from a map"
    )
    exclude_hand_m: float = Field(
        default=HIGH_ABOVE_DRAINAGE_M,
        gt=0,
        description="metres above the nearest drainage from which ground is excluded from a map",
    )
    reference: ReferenceOption = Field(
        default="auto",
        description="what a new map is compared with: auto, the pre-event scene of its side-car, the maps of "
        "earlier scenes and long-term layers; side-car, the same without earlier maps; none, nothing",
    )
    renewals_per_tick: int = Field(
        default=5, ge=0, description="maps that are made again at the same time when their reference has changed"
    )
    keep_sources: Literal["inbox", "store"] = Field(
        default="inbox",
        description="where the files of a mapped scene are kept: in the watched folder, or in the store",
    )
    keep_probabilities_days: float = Field(
        default=30.0, ge=0, description="days after their last use that backscatter and tile probabilities are kept"
    )
    keep_maps_days: float = Field(
        default=365.0,
        ge=0,
        description="days that an older map of a scene is kept, and an older version of a scene without a map; the "
        "newest map is never deleted",
    )
    new_scenes_interval: int = Field(default=30, ge=1, description="seconds between two checks of the inbox")
    scenes_per_tick: int = Field(default=50, ge=1)

    @classmethod
    def from_environment(cls) -> PipelineSettings:
        """Return the settings of this process.

        Raises:
            InputError: A variable is out of its range, or the overlap is not smaller than the tile.
        """
        try:
            settings = cls()
        except ValidationError as error:
            first = error.errors()[0]
            name = f"{ENVIRONMENT_PREFIX}{first['loc'][0]}".upper()
            said = first["msg"].removeprefix("Value error, ")
            message = said[:1].lower() + said[1:]
            raise InputError(name, f"{message}, got {first['input']!r}", "Correct the environment variable") from error
        if settings.overlap >= settings.tile:
            raise InputError(
                f"{ENVIRONMENT_PREFIX}OVERLAP",
                f"must be smaller than the tile, got {settings.overlap} with {ENVIRONMENT_PREFIX}TILE {settings.tile}",
                "Correct one of the two environment variables",
            )
        return settings

    @property
    def references(self) -> ReferenceOptions:
        """What the maps of the watched folder are compared with."""
        return ReferenceOptions(self.reference, self.ancillary_place, self.terrain_limits)

    @property
    def terrain_limits(self) -> TerrainLimits:
        """The limits of slope and height; steeper or higher ground is excluded from a map."""
        return TerrainLimits(slope_deg=self.exclude_slope_deg, hand_m=self.exclude_hand_m)

    @property
    def store_path(self) -> Path:
        """The folder of all artefacts."""
        return self.store or self.home / "store"

    @property
    def ancillary_place(self) -> str | None:
        """The folder or address of layers of the lineage: `ancillary` in the home folder by default, if it exists."""
        if self.ancillary is not None:
            return self.ancillary if is_address(self.ancillary) else str(Path(self.ancillary).absolute())
        default = self.home / "ancillary"
        return str(default.absolute()) if default.is_dir() else None

    @property
    def ancillary_cache_path(self) -> Path:
        """The folder for local copies of tiles: in the home folder if there is one, else in the user's cache."""
        if self.ancillary_cache is not None:
            return self.ancillary_cache
        if "home" in self.model_fields_set or os.environ.get("DAGSTER_HOME"):
            return self.home / "ancillary-cache"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "drshym" / "ancillary"

    @property
    def inbox_path(self) -> Path:
        """The watched folder."""
        return self.inbox or self.home / "inbox"

    @property
    def mlflow_tracking_uri(self) -> str:
        """MLflow's tracking and registry store."""
        return self.mlflow_uri or f"sqlite:///{(self.home / 'mlflow' / 'mlflow.db').resolve()}"

    @property
    def mlflow_artifacts(self) -> Path:
        """The folder of MLflow's artefacts if its store is the local SQLite file."""
        return self.home / "mlflow" / "artifacts"
