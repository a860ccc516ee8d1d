"""What is checked of a scene after each stage. What is wrong with the files is found by `scene_faults`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from assets.scene_faults import grid_faults, map_faults, probability_faults, scene_faults
from assets.staleness import model_of_map
from drshym_pipeline.records import counted
from drshym_pipeline.scene_store import SceneStore
from resources.store import ArtefactStore

_NAMED = 3  # faults in the sentence of a result
_MOST_UNKNOWN = 0.1  # of the mapped water


@dataclass(frozen=True)
class Outcome:
    """The result of one check of one scene.

    Args:
        passed: Whether nothing is wrong.
        sentence: What is wrong, in one line; None when nothing is.
        figures: What the check has found, by name.
    """

    passed: bool
    sentence: str | None = None
    figures: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class SceneCheck:
    """One check of an inference asset.

    Args:
        name: Name of the check.
        description: What the check expects, as a sentence for people.
        blocking: Whether the run stops for a scene that fails the check.
        evaluate: Called with the store, the scene and the name of the run.
    """

    name: str
    description: str
    blocking: bool
    evaluate: Callable[[ArtefactStore, str, str], Outcome]


def _of_files(
    folder_of: Callable[[SceneStore, str, str], Any],
    faults_of: Callable[[Any], list[str]],
    figures_of: Callable[[Any], Mapping[str, int | float | str]] = lambda _: {},
) -> Callable[[ArtefactStore, str, str], Outcome]:
    """Make a check of the files that a stage has written.

    Args:
        folder_of: The folder of these files.
        faults_of: What is wrong with them.
        figures_of: What to show where nothing is wrong.
    """

    def evaluate(store: ArtefactStore, scene: str, run: str) -> Outcome:
        folder = folder_of(store.scenes, scene, run)
        faults = faults_of(folder)
        if faults:
            return Outcome(False, "; ".join(faults[:_NAMED]))
        return Outcome(True, figures=figures_of(folder))

    return evaluate


def _model_is_current(store: ArtefactStore, scene: str, run: str) -> Outcome:
    found = model_of_map(store, store.scenes.map(scene, run))
    sentence = "Mapped by another model: materialise tile_probabilities and the assets after it again."
    return Outcome(found.is_current, None if found.is_current else sentence, found.figures)


def _reference_is_known(store: ArtefactStore, scene: str, run: str) -> Outcome:
    summary = store.scenes.map(scene, run).stitched()
    separation, note = summary.separation, summary.reference_note
    if separation is not None:
        water = summary.pixels["permanent"] + summary.pixels["flooded"]
        unknown = separation.water_unseparated
        figures = {"water pixels without a reference": unknown, "water pixels": water}
        known = unknown <= _MOST_UNKNOWN * water
        sentence = None if known else f"The water before is not known for {counted(unknown, 'pixel')} of water."
        return Outcome(known, sentence, figures)
    if note is None:
        return Outcome(True, "The map was made by an earlier release, which compared no map.")
    # The map may be one of an earlier run, which had no reference for another reason.
    reason = store.scenes.note(scene, run).no_reference or note.reason
    return Outcome(False, f"Flood is not separated from other water: {reason.rstrip('.')}.")


def _scene_is_like_the_training_chips(store: ArtefactStore, scene: str, run: str) -> Outcome:
    novelty = store.scenes.prediction(scene, run).read().summary.novelty
    if novelty is None:
        return Outcome(True, "No score is known: the scene was predicted by an earlier release.")
    if novelty.score is None:
        return Outcome(True, f"No score is known: {novelty.reason}.")
    figures = {"tiles": novelty.tiles, "unlike tiles": novelty.unlike, "median score": novelty.score}
    return Outcome(not novelty.is_unusual, novelty.warning() if novelty.is_unusual else None, figures)


SCENE_IS_READABLE = SceneCheck(
    "scene_is_readable_and_georeferenced",
    "The staged scene can be read and located.",
    blocking=True,
    evaluate=_of_files(SceneStore.staged, scene_faults, lambda folder: {"crs": folder.meta().crs}),
)
TILES_COVER_THE_SCENE = SceneCheck(
    "tiles_cover_the_scene",
    "Every pixel of the scene is in a tile.",
    blocking=True,
    evaluate=_of_files(SceneStore.tiles, grid_faults, lambda folder: {"tiles": len(folder.grid())}),
)
PROBABILITIES_FIT_THE_SCENE = SceneCheck(
    "probabilities_fit_the_scene",
    "All probabilities are in [0, 1]. Every observed pixel has one, and no other pixel.",
    blocking=True,
    evaluate=_of_files(SceneStore.prediction, probability_faults),
)
MASK_AGREES_WITH_PROBABILITY = SceneCheck(
    "mask_agrees_with_probability",
    "The mask is the probability compared with the threshold, and both are on the grid of the scene.",
    blocking=True,
    evaluate=_of_files(SceneStore.map, map_faults),
)
REFERENCE_IS_KNOWN = SceneCheck(
    "reference_is_known",
    "The water before is known for at least nine tenths of the mapped water, so that flood can be separated from it.",
    blocking=False,
    evaluate=_reference_is_known,
)
SCENE_IS_LIKE_THE_TRAINING_CHIPS = SceneCheck(
    "scene_is_like_the_training_chips",
    "At most a tenth of the tiles is unlike the chips that the model was trained on.",
    blocking=False,
    evaluate=_scene_is_like_the_training_chips,
)
MODEL_IS_CURRENT = SceneCheck(
    "model_is_current",
    "The map was made by the model now in service.",
    blocking=False,
    evaluate=_model_is_current,
)
