"""The files of one version of one scene, by name, and what it takes for a map to be finished.

Reading the small JSON files belongs here; making any of them is the task of `mapping`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.errors import InputError
from drshym_pipeline.inference import PredictionSummary
from drshym_pipeline.products.names import ProductKind, product_name
from drshym_pipeline.products.summary import StitchSummary
from drshym_pipeline.records import MapRecord, Record, SceneMeta, describe_validation
from drshym_pipeline.sar.codes import BACKSCATTER_FILE
from drshym_pipeline.storage import read_json
from drshym_pipeline.tiling import TileGrid

PRODUCTS_FOLDER = "products"
STITCHED_FILE = "stitched.json"


class TilesSummary(Record):
    """The grid of a scene and how much of it was observed. `valid_tiles` have at least one observed pixel."""

    tile: int
    overlap: int
    rows: int
    cols: int
    count: int
    valid_tiles: int
    mean_valid_fraction: float
    seconds: float


class Prediction(Record):
    """What stands in the attributes of the probabilities: enough to finish the map without the model."""

    summary: PredictionSummary
    area_errors: AreaErrorModel


RecordT = TypeVar("RecordT", bound=Record)


def _read(path: Path, model: type[RecordT], values: Any = None) -> RecordT:
    values = read_json(path) if values is None else values
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(path, describe_validation(error), "Run the stage that writes it again") from error


@dataclass(frozen=True)
class SceneFolder:
    """One version of one scene on disk.

    Args:
        directory: Absolute path; holds everything below.
    """

    directory: Path

    @property
    def meta_path(self) -> Path:
        """The scene's description, written last by the first stage."""
        return self.directory / "scene_meta.json"

    @property
    def backscatter(self) -> Path:
        """The scene in dB as the later stages read it; retention deletes it, and it can be made again."""
        return self.directory / BACKSCATTER_FILE

    @property
    def tiles_jsonl(self) -> Path:
        """One tile record a line."""
        return self.directory / "tiles.jsonl"

    @property
    def tiles_parquet(self) -> Path:
        """The same records as a table."""
        return self.directory / "tiles.parquet"

    @property
    def tiles_summary(self) -> Path:
        """The grid, written last by the second stage."""
        return self.directory / "tiles.json"

    @property
    def probabilities(self) -> Path:
        """The Zarr directory of tile probabilities."""
        return self.directory / "probabilities.zarr"

    @property
    def products(self) -> Path:
        """The folder of the files a user gets, those of the last finished map."""
        return self.directory / PRODUCTS_FOLDER

    @property
    def following(self) -> Path:
        """Holds the files and figures of a map between stitching and report, when it takes the finished one's place."""
        return self.directory / "following"

    @property
    def newest(self) -> Path:
        """The folder that holds the files and figures of the newest map, finished or not."""
        return self.following if (self.following / PRODUCTS_FOLDER).is_dir() else self.directory

    @property
    def stitched_summary(self) -> Path:
        """The figures of the newest map, written last by the fourth stage."""
        return self.newest / STITCHED_FILE

    @property
    def seconds_path(self) -> Path:
        """How long each stage took."""
        return self.directory / "seconds.json"

    @property
    def manifest(self) -> Path:
        """Names, sizes and hashes of the products; a map without it is not finished."""
        return self.directory / "manifest.json"

    def product(self, kind: ProductKind) -> Path:
        """The path of one product of the newest map, whether it is there or not."""
        return self.newest / PRODUCTS_FOLDER / product_name(self.meta().scene_id, kind)

    def meta(self) -> SceneMeta:
        """The scene's description.

        Raises:
            InputError: There is none, or it is damaged. So for the other readers here.
        """
        return _read(self.meta_path, SceneMeta)

    def tiles(self) -> TilesSummary:
        """What the tiling stage laid."""
        return _read(self.tiles_summary, TilesSummary)

    def grid(self) -> TileGrid:
        """The grid the tiling stage laid."""
        meta, tiles = self.meta(), self.tiles()
        return TileGrid(meta.height, meta.width, tiles.tile, tiles.overlap)

    def prediction(self) -> Prediction:
        """What the prediction stage did, and with which model."""
        path = self.probabilities / "zarr.json"
        attributes = read_json(path).get("attributes", {})
        values = {"summary": attributes.get("prediction"), "area_errors": attributes.get("area_errors")}
        return _read(path, Prediction, values)

    def stitched(self) -> StitchSummary:
        """The figures of the newest map."""
        return _read(self.stitched_summary, StitchSummary)

    def seconds(self) -> dict[str, float]:
        """Seconds by stage; empty before the first."""
        return dict(read_json(self.seconds_path)) if self.seconds_path.is_file() else {}

    def record(self) -> MapRecord:
        """The record of the last finished map."""
        return _read(self.products / product_name(self.meta().scene_id, "record"), MapRecord)

    def is_complete(self) -> bool:
        """Whether the newest map is finished: the manifest is there and every file in it has its size."""
        if self.newest == self.following or not self.manifest.is_file():
            return False
        files = read_json(self.manifest)["files"]
        paths = {self.products / name: entry["bytes"] for name, entry in files.items()}
        return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())
