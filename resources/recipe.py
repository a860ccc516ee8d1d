"""Which training recipe the training assets follow."""

from pathlib import Path
from typing import Any

from dagster import ConfigurableResource
from pydantic import Field

from drshym_pipeline.settings import TrainConfig, load_config


class TrainingRecipe(ConfigurableResource[Any]):
    """A `TrainConfig` in a YAML file, read anew by every run."""

    path: str = Field(description="The YAML file; configs/ has examples.")
    cache: str = Field(description="Where simulated data sets are kept.")

    def load(self) -> TrainConfig:
        """The recipe.

        Raises:
            InputError: The file is missing or says something that is not known.
        """
        return load_config(Path(self.path), TrainConfig)
