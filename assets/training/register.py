"""Register a bundle that the command line trained: `drshym register BUNDLE`, which runs this module.

The bundle becomes a version of the registered model with a run of its own, as a bundle trained in Dagster does: with
signature, card, verdict and the alias `candidate`. A reviewer then decides whether it is put in service.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assets.training.candidate_model import LOADING
from assets.training.judgement import VERDICT_FILE, Judgement
from assets.training.model_in_service import introduce_shipped
from assets.training.training_state import JUDGEMENTS
from drshym_pipeline.commands.document_base import failure_of
from drshym_pipeline.commands.exit_codes import ExitCode
from drshym_pipeline.commands.result_documents import RegisterDocument
from drshym_pipeline.errors import DrShymError, InputError
from drshym_pipeline.settings import PipelineSettings
from resources.build import build_resources
from resources.registry import CANDIDATE, CARDS_FOLDER, NOT_JUDGED, ModelRegistry, RegisteredVersion
from resources.store import ArtefactStore

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

SOURCE = "command"
_CHECKOUT = Path(__file__).resolve().parents[2]
_NOT_JUDGED_REASON = "It was not compared with the model in service on held-out chips."


@dataclass(frozen=True, slots=True)
class Registration:
    """The result of registering a bundle.

    Args:
        version: The registered version.
        is_new: False when the bundle was registered before.
        shipped: What was done with the checkpoint of the package, in words; None when it was known before.
    """

    version: RegisteredVersion
    is_new: bool
    shipped: str | None = None


def register_bundle(path: Path, store: ArtefactStore, registry: ModelRegistry) -> Registration:
    """Register a bundle as the candidate.

    One that is registered already gets the alias again, and its verdict when it had none: no second version is made.

    Args:
        path: The bundle. What belongs to it is looked for beside it: the curves of its training, as `drshym train`
            leaves them, and a verdict about this very bundle.
        store: The artefact store. Its model in service is registered first when the registry is empty.
        registry: The model registry.

    Raises:
        InputError: The bundle cannot be loaded.
    """
    from drshym_pipeline.model.bundle import ModelBundle

    bundle = ModelBundle.load(path)
    folder = path if path.is_dir() else path.parent
    judgement = judgement_beside(folder, bundle.sha256)
    verdict, reason = (judgement.verdict, judgement.reason) if judgement else (NOT_JUDGED, _NOT_JUDGED_REASON)
    known = next((found for found in registry.versions() if found.sha256 == bundle.sha256), None)
    if known is not None and (judgement is None or known.verdict != NOT_JUDGED):
        registry.set_alias(CANDIDATE, known.version)
        return Registration(known, is_new=False)
    shipped = introduce_shipped(store, registry)
    run_id = known.run_id if known is not None else registry.start_run(f"{bundle.name}-{bundle.sha256[:12]}", {})
    with registry.failing(run_id):
        registry.tag_run(run_id, {"source": SOURCE, "verdict": verdict})
        _log(registry, run_id, bundle, folder, judgement)
        version = registry.register(
            run_id,
            folder,
            sha256=bundle.sha256,
            verdict=verdict,
            card="\n\n".join([_summary(bundle), f"Verdict: {verdict}. {reason}", LOADING]),
            tags={"name": bundle.name, "bundle_version": bundle.version, "source": SOURCE},
        )
        registry.set_alias(CANDIDATE, version.version)
    registry.end_run(run_id)
    return Registration(version, is_new=known is None, shipped=shipped)


def _summary(bundle: "ModelBundle") -> str:
    from drshym_pipeline.model.model_card import summary

    return summary(bundle.card)


def judgement_beside(folder: Path, sha256: str) -> Judgement | None:
    """Return the newest verdict beside a bundle that is about this bundle; None without one.

    The bundle of a training in Dagster has a verdict of each run that judged it, below `judgements/`.
    """
    beside = folder.parent
    files = [*beside.glob(VERDICT_FILE), *beside.glob(f"{JUDGEMENTS}/*/{VERDICT_FILE}")]
    newest_first = sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)
    found = (Judgement.load(file.parent) for file in newest_first)
    return next((judgement for judgement in found if judgement.sha256 == sha256), None)


def _log(
    registry: ModelRegistry, run_id: str, bundle: "ModelBundle", folder: Path, judgement: Judgement | None
) -> None:
    """Fill the run: recipe, curves, scores and cards."""
    from drshym_pipeline.model.model_card import DATASET_CARD_FILE, MODEL_CARD_FILE
    from drshym_pipeline.training.checkpoint import OUTCOME_FILE, TrainedCheckpoint
    from drshym_pipeline.training.mode_calibration import CALIBRATION_FILE
    from drshym_pipeline.training.sealing import THRESHOLDS_FILE

    if bundle.card.data is not None:
        registry.tag_run(run_id, {"data": bundle.card.data.title})
    registry.log_params(run_id, {**(bundle.record.training or {}), "data_sha256": bundle.training_sha256})
    checkpoint = folder.parent / "checkpoint"
    if (checkpoint / OUTCOME_FILE).is_file():
        outcome = TrainedCheckpoint.load(checkpoint)
        # The curves of another training in the same folder would be a false history.
        if outcome.weights_sha256[:8] in bundle.version:
            registry.log_curves(run_id, outcome.history)
    for split, scores in bundle.card.scores.items():
        values = {f"{split}_{name}": score.value for name, score in scores.items() if score.value is not None}
        registry.log_metrics(run_id, values)
    if judgement is not None:
        registry.log_metrics(run_id, judgement.metrics)
    for names, place in (
        ((MODEL_CARD_FILE, DATASET_CARD_FILE), CARDS_FOLDER),
        ((THRESHOLDS_FILE, CALIBRATION_FILE), "reports"),
    ):
        registry.log_files(run_id, [folder / name for name in names if (folder / name).is_file()], place)


def registered(path: Path) -> RegisterDocument:
    """Register a bundle in the registry of the environment.

    Raises:
        InputError: The bundle or the environment cannot be used.
    """
    resources = build_resources(PipelineSettings.from_environment(), _CHECKOUT)
    registry: ModelRegistry = resources["registry"]
    found = register_bundle(path, resources["store"], registry)
    version = found.version
    return RegisterDocument(
        name=registry.model_name,
        version=str(version.version),
        alias=CANDIDATE,
        verdict=version.verdict,
        sha256=version.sha256,
        is_new=found.is_new,
        registry=registry.tracking_uri,
        page=registry.version_url(version.version),
        note=found.shipped,
    )


def main(arguments: list[str]) -> int:
    """Register a bundle and print the outcome as one line of JSON; return the exit code, 2 when it cannot be used."""
    (bundle,) = arguments
    try:
        document = registered(Path(bundle))
    except DrShymError as error:
        code = ExitCode.INPUT if isinstance(error, InputError) else ExitCode.FAULT
        document = RegisterDocument(exit_code=code, failures=(failure_of("register", error),))
    sys.stdout.write(document.model_dump_json() + "\n")
    return document.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
