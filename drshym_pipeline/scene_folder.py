"""Where each stage of a scene keeps its files, by name, and when they are complete.

One version of a scene is a folder; each stage adds an artefact to it that is never changed afterwards:

    scene_meta.json, backscatter.tif          the staged scene
    tiles/<tile>-<overlap>/                   the grid and its records
    probabilities/<key>.zarr                  one prediction; the key covers model, calibration, grid and arithmetic
    drawings/<map version>-<run>/             an unfinished map
    maps/<map version>/                       a finished map: it exists if and only if it is complete

The release 0.1.0 kept one tile grid, one prediction and one map directly in the scene's folder; they can still be read.
Reading the small JSON files belongs here; making any of them is the task of `stages`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, RootModel, ValidationError

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import (
    MapRecord,
    PredictionSummary,
    ProbabilityOverview,
    Record,
    SceneMeta,
    StitchSummary,
    TilesSummary,
    describe_validation,
)
from drshym_pipeline.sar.codes import BACKSCATTER_FILE
from drshym_pipeline.storage import read_json, remove_abandoned
from drshym_pipeline.tiling import TileGrid

STITCHED_FILE: Final = "stitched.json"
MANIFEST_FILE: Final = "manifest.json"
# What release 0.1.0 wrote into the scene's folder itself.
EARLIER_TILES: Final = "."
EARLIER_PRODUCTS: Final = "products"


class Prediction(Record):
    """The attributes of the probabilities: enough to finish the map without the model.

    Predictions of earlier versions have no overview.
    """

    summary: PredictionSummary
    area_errors: AreaErrorModel
    overview: ProbabilityOverview | None = None

    @property
    def validation_data(self) -> str | None:
        """What the validation chips of the model are, such as `simulated Sentinel-1 scenes`; None if not known."""
        card = self.summary.card
        return card.data if card else None


class _ArrayAttributes(Record, extra="ignore"):
    """What this program keeps in the attributes of a Zarr array; others describe its values."""

    prediction: PredictionSummary
    area_errors: AreaErrorModel
    overview: ProbabilityOverview | None = None


class _ArrayFile(Record, extra="ignore"):
    """The attributes in the file that Zarr writes for an array; the other fields are Zarr's own."""

    attributes: _ArrayAttributes


class _Seconds(RootModel[dict[str, float]]):
    """Seconds by stage."""


class _ManifestEntry(Record, extra="ignore"):
    """The size and the hash of one product."""

    bytes: int
    sha256: str | None = None


class _Manifest(Record, extra="ignore"):
    """The products by file name; the other fields are for readers of the file."""

    files: dict[str, _ManifestEntry]


ProductKind = Literal[
    "mask",
    "style",
    "proba",
    "reference",
    "flood_proba",
    "exclusion",
    "backscatter",
    "backscatter_before",
    "overlay",
    "thumbnail",
    "flood",
    "caption",
    "report",
    "record",
]
PRODUCT_KINDS: Final[tuple[ProductKind, ...]] = get_args(ProductKind)
# Only maps with a reference have them.
REFERENCE_KINDS: Final[tuple[ProductKind, ...]] = ("reference", "flood_proba")
# Only maps with terrain have it.
EXCLUSION_KIND: Final[ProductKind] = "exclusion"
# Only maps of the service have them; the second one only with a pre-event scene.
BACKSCATTER_KINDS: Final[tuple[ProductKind, ...]] = ("backscatter", "backscatter_before")
OPTIONAL_KINDS: Final[tuple[ProductKind, ...]] = (*REFERENCE_KINDS, EXCLUSION_KIND, *BACKSCATTER_KINDS)
_SUFFIXES: Final[dict[ProductKind, str]] = {
    "mask": "_mask.tif",
    "style": "_mask.qml",
    "proba": "_proba.tif",
    "reference": "_reference.tif",
    "flood_proba": "_flood_proba.tif",
    "exclusion": "_exclusion.tif",
    "backscatter": "_backscatter.tif",
    "backscatter_before": "_backscatter_before.tif",
    "overlay": "_overlay.png",
    "thumbnail": "_thumbnail.png",
    "flood": "_flood.geojson",
    "caption": "_caption.txt",
    "report": "_report.html",
    "record": "_report.json",
}

_STAGE_AGAIN: Final = "Run the stage that writes it again"
# A scene that is mapped again gets the map of the model in service, not an older one.
_MAP_AGAIN: Final = "Map the scene again, or delete the folder of this map"

ModelT = TypeVar("ModelT", bound=BaseModel)
ValueT = TypeVar("ValueT")


def product_name(scene_id: str, kind: ProductKind) -> str:
    """Return the file name of one product of a scene, such as `S1_x_mask.tif`."""
    return f"{scene_id}{_SUFFIXES[kind]}"


def _read(path: Path, model: type[ModelT], remedy: str = _STAGE_AGAIN) -> ModelT:
    try:
        return model.model_validate(read_json(path, remedy=remedy))
    except ValidationError as error:
        raise InputError(path, describe_validation(error), remedy) from error


@dataclass(frozen=True)
class _Artefact:
    """What a stage leaves on disk. Each of its small files is read once per object: an artefact is never changed."""

    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False, hash=False)

    def _once(self, name: str, read: Callable[[], ValueT]) -> ValueT:
        if name not in self._known:
            self._known[name] = read()
        value: ValueT = self._known[name]
        return value

    def _knowing(self, name: str, value: object) -> Self:
        """Return this object with the content of one file, which is then not read; None when it is not known."""
        if value is not None:
            self._known[name] = value
        return self


@dataclass(frozen=True)
class SceneFolder(_Artefact):
    """One version of one scene on disk.

    Args:
        directory: Absolute path; holds everything below.
    """

    directory: Path

    @classmethod
    def staged(cls, directory: Path, meta: SceneMeta) -> SceneFolder:
        """Return the folder of a scene whose description is known already."""
        return cls(directory)._knowing("meta", meta)

    @property
    def meta_path(self) -> Path:
        """The scene's description, written last by the first stage."""
        return self.directory / "scene_meta.json"

    @property
    def backscatter(self) -> Path:
        """The scene in dB as the later stages read it; retention deletes it, and it can be made again."""
        return self.directory / BACKSCATTER_FILE

    @property
    def seconds_path(self) -> Path:
        """How long staging took."""
        return self.directory / "seconds.json"

    @property
    def maps(self) -> Path:
        """The folder of the finished maps."""
        return self.directory / "maps"

    @property
    def drawings(self) -> Path:
        """The folder of the unfinished maps."""
        return self.directory / "drawings"

    def meta(self) -> SceneMeta:
        """Return the scene's description.

        Raises:
            InputError: There is none, or it is damaged.
        """
        return self._once("meta", lambda: _read(self.meta_path, SceneMeta))

    def seconds(self) -> dict[str, float]:
        """Return the seconds that staging took, by stage; empty when they are not known.

        Raises:
            InputError: The file is damaged.
        """
        return _read(self.seconds_path, _Seconds).root if self.seconds_path.is_file() else {}

    def remove_abandoned(self) -> list[Path]:
        """Delete what killed processes have left half written in this folder, and return it."""
        places = [self.directory, *(path for path in self.directory.glob("*") if path.is_dir())]
        return [path for place in places for path in remove_abandoned(place)]

    def tiles(self, name: str, summary: TilesSummary | None = None) -> TilesFolder:
        """Return the tile grid of this name, whether it is there or not; with its summary if that is known."""
        return TilesFolder(self, self.directory / name)._knowing("summary", summary)

    def grid_name(self, tile: int, overlap: int) -> str:
        """Return the name of the tile grid with this tile side and overlap in pixels."""
        return f"tiles/{tile}-{overlap}"

    def predictions(self) -> list[Path]:
        """Return the Zarr folders of all predictions, those of release 0.1.0 among them."""
        return sorted([*self.directory.glob("probabilities/*.zarr"), *self.directory.glob("probabilities.zarr")])

    def map(self, version: str) -> MapFolder:
        """Return the map of this version, whether it is there or not; an empty version is that of release 0.1.0."""
        if not version:
            return MapFolder(self, self.directory / EARLIER_PRODUCTS, self.directory, "")
        return MapFolder(self, self.maps / version, self.maps / version, version)

    def drawing(self, name: str, stitched: StitchSummary | None = None) -> MapFolder:
        """Return the unfinished map of this name, whether it is there or not; with its figures if they are known.

        Args:
            name: `<map version>-<run>`.
            stitched: The figures of the map.
        """
        version, _, _ = name.partition("-")
        return MapFolder(self, self.drawings / name, self.drawings / name, version)._knowing("stitched", stitched)

    def finished_maps(self) -> list[MapFolder]:
        """Return all finished maps of this version of the scene, the oldest first.

        Raises:
            InputError: A manifest is damaged.
        """
        versions = [path.name for path in self.maps.glob("*") if path.is_dir() and not path.name.startswith(".")]
        found = [self.map(version) for version in ("", *versions)]
        return sorted((item for item in found if item.is_complete()), key=lambda item: item.written_at)


@dataclass(frozen=True)
class TilesFolder(_Artefact):
    """The tile grid of a scene, and the records of its tiles.

    Args:
        scene: The scene.
        directory: Holds the files.
    """

    scene: SceneFolder
    directory: Path

    @property
    def name(self) -> str:
        """The grid's name within the scene's folder."""
        return self.directory.relative_to(self.scene.directory).as_posix()

    @property
    def jsonl(self) -> Path:
        """One tile record per line."""
        return self.directory / "tiles.jsonl"

    @property
    def parquet(self) -> Path:
        """The same records as a table."""
        return self.directory / "tiles.parquet"

    @property
    def summary_path(self) -> Path:
        """The grid, written last."""
        return self.directory / "tiles.json"

    def summary(self) -> TilesSummary:
        """Return what the tiling stage wrote.

        Raises:
            InputError: The stage has not run, or its file is damaged.
        """
        return self._once("summary", lambda: _read(self.summary_path, TilesSummary))

    def grid(self) -> TileGrid:
        """Return the grid itself.

        Raises:
            InputError: As for `summary`.
        """
        meta, tiles = self.scene.meta(), self.summary()
        return TileGrid(meta.height, meta.width, tiles.tile, tiles.overlap)

    def prediction(self, name: str, known: Prediction | None = None, *, reused: bool = False) -> PredictionFolder:
        """Return the prediction of this name on this grid, whether it is there or not.

        Args:
            name: Its name within the scene's folder.
            known: The content of its attributes, if it is known.
            reused: Whether the stage found it there.
        """
        return PredictionFolder(self, self.scene.directory / name, reused)._knowing("prediction", known)


@dataclass(frozen=True)
class PredictionFolder(_Artefact):
    """The calibrated probabilities of the tiles of one grid by one model.

    Args:
        tiles: The grid.
        path: The Zarr folder.
        reused: Whether the stage found it there.
    """

    tiles: TilesFolder
    path: Path
    reused: bool = field(default=False, compare=False)

    @property
    def name(self) -> str:
        """The prediction's name within the scene's folder."""
        return self.path.relative_to(self.scene.directory).as_posix()

    @property
    def scene(self) -> SceneFolder:
        """The scene."""
        return self.tiles.scene

    @property
    def attributes_path(self) -> Path:
        """The file of the array's shape and attributes; its time says when the prediction was last used."""
        return self.path / "zarr.json"

    def read(self) -> Prediction:
        """Return what the prediction stage did, and with which model.

        Raises:
            InputError: The stage has not run, its files have been deleted, or they are damaged.
        """
        return self._once("prediction", self._read_prediction)

    def _read_prediction(self) -> Prediction:
        found = _read(self.attributes_path, _ArrayFile).attributes
        return Prediction(summary=found.prediction, area_errors=found.area_errors, overview=found.overview)


@dataclass(frozen=True)
class MapFolder(_Artefact):
    """One map of a scene: its products, its figures and its manifest.

    Args:
        scene: The scene.
        products: The folder of the files a user gets.
        directory: The folder of figures and manifest; the same one, except for maps of release 0.1.0.
        version: The map's version; empty for a map of release 0.1.0.
    """

    scene: SceneFolder
    products: Path
    directory: Path
    version: str

    @property
    def stitched_path(self) -> Path:
        """The figures of the map, written last by the stage that draws it."""
        return self.directory / STITCHED_FILE

    @property
    def manifest(self) -> Path:
        """Names, sizes and hashes of the products; a map without it is not finished."""
        return self.directory / MANIFEST_FILE

    @property
    def written_at(self) -> float:
        """When the map was finished, in seconds since 1970; 0 for a map that is not."""
        return self.manifest.stat().st_mtime if self.manifest.is_file() else 0.0

    def product(self, kind: ProductKind) -> Path:
        """Return the path of one product, whether it is there or not."""
        return self.products / product_name(self.scene.meta().scene_id, kind)

    def stitched(self) -> StitchSummary:
        """Return the figures of the map.

        Raises:
            InputError: The map has not been drawn, or the file is damaged.
        """
        return self._once("stitched", lambda: _read(self.stitched_path, StitchSummary))

    def record(self) -> MapRecord:
        """Return the record of the finished map.

        Raises:
            InputError: The map is not finished, or the file is damaged.
        """
        return self._once("record", lambda: _read(self.product("record"), MapRecord))

    def is_complete(self) -> bool:
        """Return whether the map is finished: the manifest is there and every file in it has its size.

        Raises:
            InputError: The manifest is damaged.
        """
        if not self.manifest.is_file():
            return False
        files = _read(self.manifest, _Manifest, _MAP_AGAIN).files
        paths = {self.products / name: entry.bytes for name, entry in files.items()}
        return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())

    def hash_of(self, kind: ProductKind) -> str | None:
        """Return the SHA-256 of one product, as the manifest says; None if the map is not finished or has none.

        Raises:
            InputError: The manifest is damaged.
        """
        if not self.manifest.is_file():
            return None
        entry = _read(self.manifest, _Manifest, _MAP_AGAIN).files.get(self.product(kind).name)
        return None if entry is None else entry.sha256

    def can_be_reused(self) -> bool:
        """Return whether the map is finished and its manifest can be read; otherwise the map is made again."""
        try:
            return self.is_complete()
        except InputError:
            return False
