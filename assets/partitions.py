"""The partitions of the inference assets: one scene is one partition. Tiles are not: a scene has over 2,000."""

import warnings

from dagster import BackfillPolicy, BetaWarning, DynamicPartitionsDefinition

# Dagster is pinned to one release, which runs backfills in one run; its warning would be in every log.
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", BetaWarning)

scenes = DynamicPartitionsDefinition(name="scenes")

ONE_RUN = BackfillPolicy.single_run()
"""The policy of a backfill over many scenes: one run, so the model is loaded once."""
