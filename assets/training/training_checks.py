"""The checks of the training assets. A blocking check stops only its own run; so the assets look at it too."""

from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetCheckSeverity, asset_check

from assets.blocking_checks import blocking_check
from assets.run_context import permanent_input_errors
from assets.training.judgement import Judgement
from assets.training.promotion import BROKEN
from assets.training.training_state import BUNDLE_FOLDER, RunNote, TrainingState
from resources.registry import ModelRegistry
from resources.store import ArtefactStore

# Figures come from a histogram of logits: differences below this are its bins, not the temperature.
_TOLERANCE = 1e-6


def _compare(store: ArtefactStore, state: TrainingState, figure: str) -> tuple[list[str], dict[str, float]]:
    """Return how a figure changed by scaling: the rises by band mode, and the figures before and after.

    The log loss is that of all sets that the temperature was fitted on, with their weights. On one of them alone it may
    rise.

    Raises:
        InputError: The training has no bundle.
    """
    from drshym_pipeline.training.mode_calibration import read_calibration

    values: dict[str, float] = {}
    rises = []
    for mode, item in read_calibration(state.folder(store) / BUNDLE_FOLDER).items():
        before, after = getattr(item.before, figure), getattr(item.after, figure)
        if figure == "log_loss" and item.fit_log_loss is not None:
            before, after = item.fit_log_loss
        if before is None or after is None:
            continue
        values |= {f"{mode} before": before, f"{mode} after": after}
        if after > before + _TOLERANCE:
            rises.append(f"of {mode} from {before:.4f} to {after:.4f}")
    return rises, values


@blocking_check(
    asset="calibration_temperature",
    description="Scaling by the temperature does not raise the log loss on the pixels it was fitted on.",
)
def log_loss_does_not_rise(
    context: AssetCheckExecutionContext, store: ArtefactStore, registry: ModelRegistry
) -> AssetCheckResult:
    """The temperature minimises the log loss, so a rise means a fault."""
    with permanent_input_errors():
        state = TrainingState.take_over(RunNote(store, context), "calibration_temperature")
        rises, values = _compare(store, state, "log_loss")
    if rises:  # nothing follows that could close the MLflow run
        registry.end_run(state.mlflow_run, failed=True)
    sentence = f"Scaling by the temperature raises the log loss {' and '.join(rises)}." if rises else None
    return AssetCheckResult(passed=not rises, description=sentence, metadata=values)


@asset_check(
    asset="calibration_temperature", description="Scaling by the temperature does not raise the calibration error."
)
def calibration_error_does_not_rise(context: AssetCheckExecutionContext, store: ArtefactStore) -> AssetCheckResult:
    """ECE is not what the temperature minimises: it may rise a little, and a person should look at it then."""
    with permanent_input_errors():
        state = TrainingState.take_over(RunNote(store, context), "calibration_temperature")
        rises, values = _compare(store, state, "ece")
    sentence = f"Scaling by the temperature raises the calibration error {' and '.join(rises)}." if rises else None
    return AssetCheckResult(passed=not rises, severity=AssetCheckSeverity.WARN, description=sentence, metadata=values)


@blocking_check(
    asset="candidate_model",
    description="The candidate is not broken: its outputs are finite and its scores reach the floors of the recipe.",
)
def candidate_is_not_broken(context: AssetCheckExecutionContext, store: ArtefactStore) -> AssetCheckResult:
    """Only `broken` fails: a candidate that is not better is a normal outcome."""
    with permanent_input_errors():
        state = TrainingState.take_over(RunNote(store, context), "candidate_model")
        judgement = Judgement.load(state.judged_in(store))
    broken = judgement.verdict == BROKEN
    sentence = f"{judgement.reason} Version {state.version} is registered as {BROKEN} and is never put in service."
    return AssetCheckResult(
        passed=not broken,
        description=sentence if broken else judgement.reason,
        metadata={"verdict": judgement.verdict, "version": state.version, **judgement.metrics},
    )


training_checks = [log_loss_does_not_rise, calibration_error_does_not_rise, candidate_is_not_broken]
