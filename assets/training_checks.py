"""The checks of the training assets. A blocking one stops what follows in its own run; the assets guard as well."""

from dagster import AssetCheckResult, AssetCheckSeverity, asset_check

from assets.evaluating import Judgement
from assets.promotion import BROKEN
from assets.training_state import BUNDLE_FOLDER, TrainingState
from resources.registry import ModelRegistry
from resources.store import ArtefactStore

# Figures come from a histogram of logits: differences below this are its bins, not the temperature.
_TOLERANCE = 1e-6


def _compare(store: ArtefactStore, figure: str) -> tuple[bool, dict[str, float]]:
    """Whether a figure is nowhere above what it was before scaling, and the figures by band mode."""
    from drshym_pipeline.model.sealing import read_calibration

    values: dict[str, float] = {}
    passed = True
    for mode, item in read_calibration(store.training(TrainingState.load(store).id) / BUNDLE_FOLDER).items():
        before, after = getattr(item.before, figure), getattr(item.after, figure)
        if before is None or after is None:
            continue
        values |= {f"{mode} before": before, f"{mode} after": after}
        passed = passed and after <= before + _TOLERANCE
    return passed, values


@asset_check(
    asset="calibration_temperature",
    blocking=True,
    description="Scaling by the temperature does not raise the log loss on the pixels it was fitted on.",
)
def log_loss_does_not_rise(store: ArtefactStore, registry: ModelRegistry) -> AssetCheckResult:
    """The temperature minimises the log loss, so a rise means a fault."""
    passed, values = _compare(store, "log_loss")
    if not passed:  # nothing follows that could close the MLflow run
        registry.end_run(TrainingState.load(store).mlflow_run, failed=True)
    return AssetCheckResult(passed=passed, metadata=values)


@asset_check(
    asset="calibration_temperature", description="Scaling by the temperature does not raise the calibration error."
)
def calibration_error_does_not_rise(store: ArtefactStore) -> AssetCheckResult:
    """ECE is not what the temperature minimises: it may rise a little, and someone should look when it does."""
    passed, values = _compare(store, "ece")
    return AssetCheckResult(passed=passed, severity=AssetCheckSeverity.WARN, metadata=values)


@asset_check(
    asset="slice_reports",
    blocking=True,
    description="The candidate is not broken: its outputs are finite and its scores reach the floors of the recipe.",
)
def candidate_is_not_broken(store: ArtefactStore) -> AssetCheckResult:
    """Only `broken` fails: a candidate that is not better is a normal outcome."""
    judgement = Judgement.load(store.training(TrainingState.load(store).id))
    return AssetCheckResult(
        passed=judgement.verdict != BROKEN,
        description=judgement.reason,
        metadata={"verdict": judgement.verdict, **judgement.metrics},
    )


training_checks = [log_loss_does_not_rise, calibration_error_does_not_rise, candidate_is_not_broken]
