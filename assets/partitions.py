"""The partitions of the inference assets: one scene, one partition. Tiles never are: a scene has over two thousand."""

import warnings

from dagster import BackfillPolicy, BetaWarning, DynamicPartitionsDefinition

# Dagster is pinned to one release, which runs backfills in one run; its warning would stand in every log.
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", BetaWarning)

scenes = DynamicPartitionsDefinition(name="scenes")

ONE_RUN = BackfillPolicy.single_run()
"""Of a backfill over many scenes: the model is loaded once, and no process is started for a chip."""
