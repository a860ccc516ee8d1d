"""The inference assets and their checks, each made from one entry of `scene_stages`."""

import warnings
from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    MaterializeResult,
    PreviewWarning,
    asset,
    asset_check,
)

from assets.asset_facts import asset_facts
from assets.blocking_checks import blocking_check
from assets.partitions import ONE_RUN, scenes
from assets.run_context import run_name
from assets.scene_checks import SceneCheck
from assets.scene_runs import run_scenes
from assets.scene_stages import STAGES, Stage
from resources.bucket import SceneBucket
from resources.engine import InferenceEngine
from resources.run_limits import MAPPING_POOL
from resources.store import ArtefactStore

# Dagster is pinned to one release, which has results by partition; its warning would be in every log.
warnings.filterwarnings("ignore", "Specifying a partitions_def on an AssetCheckSpec", PreviewWarning)


def build_asset(stage: Stage) -> AssetsDefinition:
    """Make the asset of a stage: one scene is one partition."""

    @asset(
        name=stage.name,
        deps=list(stage.deps),
        partitions_def=scenes,
        group_name="inference",
        **asset_facts(stage.name, stage.holds, **stage.metadata),
        pool=MAPPING_POOL,
        code_version=stage.code_version,
        kinds=set(stage.kinds),
        backfill_policy=ONE_RUN,
        output_required=False,
        description=stage.description,
    )
    def made(
        context: AssetExecutionContext, bucket: SceneBucket, store: ArtefactStore, engine: InferenceEngine
    ) -> Iterator[MaterializeResult[Any] | AssetMaterialization]:
        yield from run_scenes(context, bucket, store, engine, stage.name)

    return made


def build_check(stage: Stage, check: SceneCheck) -> AssetChecksDefinition:
    """Make one check of a stage, with a result per scene."""

    def evaluated(context: AssetCheckExecutionContext, store: ArtefactStore) -> AssetCheckResult:
        outcome = check.evaluate(store, context.partition_key, run_name(context.run))
        return AssetCheckResult(
            passed=outcome.passed,
            severity=AssetCheckSeverity.ERROR if check.blocking else AssetCheckSeverity.WARN,
            description=outcome.sentence,
            metadata=dict(outcome.figures),
        )

    evaluated.__name__ = check.name
    decorate = blocking_check if check.blocking else asset_check
    return decorate(asset=stage.name, description=check.description, partitions_def=scenes)(evaluated)


inference_assets = [build_asset(stage) for stage in STAGES.values()]
inference_checks = [build_check(stage, check) for stage in STAGES.values() for check in stage.checks]
