"""The Dagster code location: every asset, check, job, sensor, schedule and resource, assembled in one place.

`workspace.yaml` loads this file from the checkout. Tests and other deployments call the same function, `build_defs`,
with other resources. Neither this module nor the modules it imports import heavy libraries (torch, MLflow, rasterio).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster import Definitions, in_process_executor

from assets.external import external_assets
from assets.graph import inference_assets, inference_checks, training_assets, training_checks
from drshym_pipeline.settings import PipelineSettings
from resources.build import build_resources
from sensors.changed_references import changed_references_sensor
from sensors.failures import failed_runs, terminated_runs
from sensors.jobs import map_scene, put_in_service, renew_maps, train_model
from sensors.new_scenes import new_scenes_sensor
from sensors.retention import old_probabilities_job, old_probabilities_schedule
from sensors.reviewed_models import reviewed_models
from sensors.schedules import weekly_training

CHECKOUT = Path(__file__).resolve().parent


def build_defs(overrides: Mapping[str, Any] | None = None, settings: PipelineSettings | None = None) -> Definitions:
    """Assemble the code location.

    Args:
        overrides: Resources to use instead of the default ones, by name.
        settings: The settings; read from the environment by default.
    """
    settings = settings or PipelineSettings.from_environment()
    retention = old_probabilities_job(settings)
    return Definitions(
        assets=[*training_assets, *inference_assets, *external_assets],
        asset_checks=[*training_checks, *inference_checks],
        jobs=[train_model, map_scene, renew_maps, put_in_service, retention],
        schedules=[weekly_training, old_probabilities_schedule(retention)],
        # Runs without a job, such as backfills of assets, use one process too.
        executor=in_process_executor,
        sensors=[
            new_scenes_sensor(settings),
            changed_references_sensor(settings),
            reviewed_models,
            failed_runs,
            terminated_runs,
        ],
        resources={**build_resources(settings, CHECKOUT), **(overrides or {})},
    )


defs = build_defs()
