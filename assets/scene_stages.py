"""The stages of a scene: one definition per inference asset, with its step and its checks, in the order of the lineage.

`inference` makes Dagster's assets and checks of them; `scene_work` takes many scenes through them in one run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dagster import MaterializeResult

from assets.asset_facts import tile_columns
from assets.external import EXTERNAL_NAMES
from assets.scene_checks import (
    MASK_AGREES_WITH_PROBABILITY,
    MODEL_IS_CURRENT,
    PROBABILITIES_FIT_THE_SCENE,
    REFERENCE_IS_KNOWN,
    SCENE_IS_LIKE_THE_TRAINING_CHIPS,
    SCENE_IS_READABLE,
    TILES_COVER_THE_SCENE,
    SceneCheck,
)
from assets.scene_steps import SceneTools, divide_scene, predict_tiles, report_scene, stage_raw_scene, stitch_tiles

Step = Callable[[SceneTools, str], MaterializeResult[Any]]


@dataclass(frozen=True)
class Stage:
    """One inference asset.

    Args:
        name: Name of the asset.
        step: The function that makes the asset of one scene.
        description: What the asset is, as a sentence for people.
        kinds: The kinds of its files, as Dagster shows them.
        code_version: Raised when the same scene and model would give other files at this stage.
        deps: The assets that it is made from.
        checks: Its checks, in the order in which they are evaluated.
        holds: What the asset contains, a tag for filters: `data` or `map`.
        metadata: More metadata of the definition.
    """

    name: str
    step: Step
    description: str
    kinds: frozenset[str]
    code_version: str
    deps: tuple[str, ...] = ()
    checks: tuple[SceneCheck, ...] = ()
    holds: str = "map"
    metadata: Mapping[str, Any] = field(default_factory=dict)


_STAGES: Final = (
    Stage(
        name="raw_scenes",
        step=stage_raw_scene,
        description="The scene staged, validated and described: grid, CRS, units, bands, nodata, acquisition, sha256.",
        kinds=frozenset({"geotiff"}),
        code_version="3",
        checks=(SCENE_IS_READABLE,),
        holds="data",
    ),
    Stage(
        name="tiles",
        step=divide_scene,
        description="The overlapping windows that cover every pixel of the scene, one DrShymRecord each.",
        kinds=frozenset({"parquet"}),
        code_version="3",
        deps=("raw_scenes",),
        checks=(TILES_COVER_THE_SCENE,),
        holds="data",
        metadata={"dagster/column_schema": tile_columns()},
    ),
    Stage(
        name="tile_probabilities",
        step=predict_tiles,
        description="Calibrated probability of water of every tile, one Zarr array per scene; deleted after weeks.",
        kinds=frozenset({"zarr", "pytorch"}),
        code_version="3",
        deps=("tiles", "flood_model"),
        checks=(PROBABILITIES_FIT_THE_SCENE, SCENE_IS_LIKE_THE_TRAINING_CHIPS),
    ),
    Stage(
        name="stitched_scenes",
        step=stitch_tiles,
        description=(
            "Flood mask and probability as COGs on the scene's own grid, polygons in WGS84, overlay and caption."
        ),
        kinds=frozenset({"geotiff", "geojson"}),
        code_version="5",
        deps=("tile_probabilities", "flood_model", *EXTERNAL_NAMES),
        checks=(MODEL_IS_CURRENT, MASK_AGREES_WITH_PROBABILITY, REFERENCE_IS_KNOWN),
    ),
    Stage(
        name="scene_reports",
        step=report_scene,
        description="The report page of the map and its MapRecord; with it the scene's map is finished.",
        kinds=frozenset({"html"}),
        code_version="4",
        deps=("stitched_scenes",),
    ),
)
STAGES: Mapping[str, Stage] = {stage.name: stage for stage in _STAGES}
