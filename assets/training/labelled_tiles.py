"""`labelled_tiles`: the labelled chips the recipe asks for, simulated or from a folder, checked and counted."""

from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, DataVersion, MaterializeResult, asset

from assets.asset_facts import asset_facts
from assets.metadata import file_link, picture, table
from assets.pictures import DB_RANGE
from assets.run_context import permanent_input_errors, run_progress
from assets.training.chip_summary import chip_table, example_chip, split_table, used_chips
from assets.training.training_state import RunNote
from resources.recipe import TrainingRecipe
from resources.run_limits import TRAINING_POOL
from resources.store import ArtefactStore


@asset(
    group_name="training",
    **asset_facts("labelled_tiles", "data"),
    pool=TRAINING_POOL,
    code_version="1",
    kinds={"geotiff"},
    description="Labelled chips in Sen1Floods11's layout: simulated, or those of a folder, as the recipe says.",
)
def labelled_tiles(
    context: AssetExecutionContext, recipe: TrainingRecipe, store: ArtefactStore
) -> MaterializeResult[Any]:
    """Prepare the chips and note the recipe and their content hash for the stages that follow."""
    from drshym_pipeline.datasets.description import training_provenance
    from drshym_pipeline.datasets.prepare import prepare
    from drshym_pipeline.training.train import check_training

    with permanent_input_errors():
        config = recipe.load()
        check_training(config)  # now, not after minutes of simulating
        data = prepare(config.data, Path(recipe.cache), progress=run_progress(context, store))
        used = used_chips(data, config.data.labels)
        chips = chip_table(used)
        sha256 = data.sha256()
        origin = training_provenance(config.data, data)
        backscatter, label = example_chip(used, chips)
    value = {"config": config.model_dump(mode="json"), "root": str(data.root.resolve()), "sha256": sha256}
    RunNote(store, context).hand_over("labelled_tiles", value)
    return MaterializeResult(
        data_version=DataVersion(sha256),
        metadata={
            "example: VV backscatter": picture(backscatter, "VV of the chip with most water", *DB_RANGE),
            "example: label": picture(label, "label of the chip with most water"),
            "chips by split": table(split_table(chips)),
            "wettest chips": table(chips.sort_values("water share", ascending=False).head(10)),
            "chips": len(chips),
            "data": origin.title,
            "how the origin is known": origin.evidence,
            "sha256": sha256,
            "recipe": file_link(Path(recipe.path)),
            "files": file_link(data.root),
        },
    )
