"""Training with the recipes of the repository, made small, in a process as Dagster starts it for a run.

The code server spawns the process of every run, and that process spawns its worker processes. Nothing that a worker
needs may depend on a fork.
"""

import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import yaml

from drshym_pipeline.datasets.sen1floods11 import HAND_FOLDER, Sen1Floods11
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.settings import SimulatedData
from drshym_pipeline.storage import write_json

SIZES = {"train": 2, "valid": 3, "test": 2, "hard": 0, "size": 64}
STEPS = 2
WEAK_FOLDER = HAND_FOLDER.parent / "WeaklyLabeled"


def write_official_layout(root: Path) -> Path:
    """Write simulated chips in the layout of Sen1Floods11, one of them also with a weak label."""
    write_dataset(root, SimulatedData(**SIZES))
    chip = Sen1Floods11(root).chips("train")[0]
    for source, kind in ((chip.image, "S1Weak"), (chip.label, "S1OtsuLabelWeak")):
        assert source is not None
        target = root / WEAK_FOLDER / kind / f"Mali_1_{kind}.tif"
        target.parent.mkdir(parents=True)
        shutil.copyfile(source, target)
    return root


def made_small(recipe: Path, official: Path) -> dict[str, Any]:
    """Return a recipe of the repository with few chips, small crops, few steps and no floors; the rest is unchanged."""
    values: dict[str, Any] = yaml.safe_load(recipe.read_text("utf-8"))
    if values["data"]["kind"] == "simulated":
        values["data"]["simulated"] = SIZES
    else:
        values["data"]["root"] = str(official)
    values["training"] |= {"crop": 64, "batch_size": 2, "max_steps": STEPS, "validate_every": STEPS, "warmup_steps": 0}
    values["evaluation"] = {"bootstrap": 100}
    return values


def run_recipes(home: str, recipes: list[str], answer: str) -> None:
    """Run the job `train_model` with each recipe; the target of a spawned process.

    Args:
        home: Folder of all state.
        recipes: The YAML files.
        answer: The JSON file to write. It has the start method of this process and, by name of the recipe, the reasons
            of failed steps, the number of trained steps and the verdict of the registered version.
    """
    from assets.training.training_state import TrainingState
    from drshym_pipeline.training.checkpoint import TrainedCheckpoint
    from resources.build import build_resources
    from tests.lineage import Lineage

    place = Path(home)
    found: dict[str, Any] = {"start method": multiprocessing.get_start_method()}
    official = write_official_layout(place / "official")
    for recipe in map(Path, recipes):
        (place / recipe.name).write_text(yaml.safe_dump(made_small(recipe, official)), "utf-8")
        lineage = Lineage(place, {"train_config": place / recipe.name})
        result = lineage.run("train_model")
        failed = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
        found[recipe.name] = {"reasons": [str(error.cause or error) for error in failed]}
        if result.success:
            state = TrainingState(**(lineage.store.find_record("candidate_model") or {}))
            registry = build_resources(lineage.settings, place)["registry"]
            found[recipe.name] |= {
                "name": state.recipe.name,
                "workers": state.recipe.training.workers,
                "steps": TrainedCheckpoint.load(state.folder(lineage.store) / "checkpoint").steps,
                "verdict": next(item.verdict for item in registry.versions() if item.version == state.version),
            }
        write_json(Path(answer), found)
