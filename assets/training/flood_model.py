"""`flood_model`: the model in service, pinned by version and sha256. Scenes are mapped by what this record names.

Who decides: the alias `champion` in MLflow (see `promotion`). At first the shipped checkpoint has it.
"""

from typing import Any, Literal

from dagster import AssetExecutionContext, DataVersion, MaterializeResult, asset

from assets.asset_facts import asset_facts
from assets.metadata import table
from assets.run_context import permanent_input_errors
from assets.staleness import report_staleness, served_reference
from assets.training.model_in_service import introduce_shipped, put_in_service, served_card
from assets.training.promotion import Contender, decide
from assets.training.training_state import RunNote, TrainingState
from resources.recipe import TrainingRecipe
from resources.registry import CHAMPION, ModelRegistry, RegisteredVersion
from resources.store import ArtefactStore


def _contender(found: RegisteredVersion | None) -> Contender | None:
    return Contender(found.version, found.verdict, found.considered, found.source) if found else None


def _candidate(
    note: RunNote, registry: ModelRegistry, recipe: TrainingRecipe
) -> tuple[RegisteredVersion | None, Literal["review", "better"]]:
    """Return the candidate to decide about, and whether a better one is promoted.

    A run that trained a candidate decides about that candidate, with the recipe it was trained by: meanwhile another
    training may have registered another candidate, and the file of the recipe may have changed. Any other run asks the
    registry and reads the recipe.
    """
    own = note.own("candidate_model")
    if own is None:
        return registry.candidate(), recipe.load().promote
    state = TrainingState(**own)
    return next((found for found in registry.versions() if found.version == state.version), None), state.recipe.promote


@asset(
    deps=["candidate_model"],
    group_name="training",
    **asset_facts("flood_model", "model"),
    code_version="1",
    kinds={"pytorch"},
    description="The model that maps scenes now, pinned by version and sha256.",
)
def flood_model(
    context: AssetExecutionContext, store: ArtefactStore, registry: ModelRegistry, recipe: TrainingRecipe
) -> MaterializeResult[Any]:
    """Follow the alias champion, moving it first where the rules allow; the result is always reported."""
    with permanent_input_errors():
        before = served_reference(store)
        entered = introduce_shipped(store, registry)
        candidate, policy = _candidate(RunNote(store, context), registry, recipe)
        decision = decide(_contender(registry.champion()), _contender(candidate), policy)
        if decision.serve is not None:
            put_in_service(store, registry, decision.serve, decision.reason)
        if decision.serve is not None and decision.promote:
            registry.set_alias(CHAMPION, decision.serve)
        if candidate is not None:
            registry.mark_considered(candidate.version)
        served = served_reference(store)
        outdated = report_staleness(context, store)
        card = served_card(store)
    if entered is not None:
        context.log.info(entered)
    context.log.info("%s; in service: %s %s", decision.reason, served.name, served.version)
    return MaterializeResult(
        data_version=DataVersion(served.sha256),
        metadata={
            "model": f"{served.name} {served.version}",
            "sha256": served.sha256,
            "source": served.source,
            "reason": decision.reason,
            "changed": served.sha256 != before.sha256,
            "candidate waits for review": decision.waiting,
            "candidate": f"version {candidate.version}: {candidate.verdict}" if candidate else "none",
            "maps by another model": outdated,
            "calibration": table(card["calibration"]),
            "scores": table(card["scores"]),
        },
    )
