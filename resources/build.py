"""Make all resources of the code location from the settings."""

from pathlib import Path
from typing import Any

from drshym_pipeline.settings import PipelineSettings
from resources.bucket import SceneBucket
from resources.engine import InferenceEngine
from resources.links import PageLinks
from resources.recipe import TrainingRecipe
from resources.registry import ModelRegistry
from resources.store import ArtefactStore

DEFAULT_RECIPE = Path("configs/demo.yaml")


def build_resources(settings: PipelineSettings, checkout: Path) -> dict[str, Any]:
    """Return all resources, configured from the settings.

    Args:
        settings: Paths and options.
        checkout: Folder of the code location, for the default recipe.
    """
    store = settings.store_path.absolute()
    recipe = settings.train_config or checkout / DEFAULT_RECIPE
    return {
        "store": ArtefactStore(root=str(store)),
        # The default folder is created on first use. A folder that the user named must exist: a lost mount is not an
        # empty folder.
        "bucket": SceneBucket(
            root=str(settings.inbox_path.absolute()),
            keep_sources=settings.keep_sources,
            create=settings.inbox is None,
        ),
        "registry": ModelRegistry(
            tracking_uri=settings.mlflow_tracking_uri,
            artifact_root=str(settings.mlflow_artifacts.absolute()),
            ui=settings.mlflow_ui,
        ),
        "engine": InferenceEngine(
            store=str(store),
            tile=settings.tile,
            overlap=settings.overlap,
            batch_size=settings.batch_size,
            precision=settings.precision,
            min_area_ha=settings.min_area_ha,
            reference=settings.reference,
            ancillary=settings.ancillary_place,
            slope_deg=settings.exclude_slope_deg,
            hand_m=settings.exclude_hand_m,
        ),
        "recipe": TrainingRecipe(path=str(recipe.absolute()), cache=str(store / "training" / "data")),
        "links": PageLinks(dagster=settings.dagster_ui),
    }
