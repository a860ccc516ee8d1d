"""The training recipe that the training assets use."""

from pathlib import Path
from typing import Any

from dagster import ConfigurableResource
from pydantic import Field

from drshym_pipeline.settings import TrainConfig, load_config


class TrainingRecipe(ConfigurableResource[Any]):
    """A `TrainConfig` in a YAML file; every run reads the file again."""

    path: str = Field(description="The YAML file; configs/ has examples.")
    cache: str = Field(description="The folder of simulated data sets.")

    def load(self) -> TrainConfig:
        """Return the recipe.

        Raises:
            InputError: The file is missing, or has an unknown key or value.
        """
        return load_config(Path(self.path), TrainConfig)
