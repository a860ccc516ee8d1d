"""The rule that deletes tile probabilities once nobody needs them; maps and records stay for ever."""

from datetime import datetime, timedelta

from dagster import DefaultSensorStatus, SensorDefinition, SensorEvaluationContext, SkipReason, sensor

from drshym_pipeline.mapping import SceneFolder, discard_probabilities
from drshym_pipeline.records import now
from drshym_pipeline.settings import PipelineSettings
from resources.store import ArtefactStore


def is_expired(folder: SceneFolder, moment: datetime, keep: timedelta) -> bool:
    """Whether a finished map's probabilities are older than they are kept; an unfinished map's are never."""
    if not folder.is_complete() or not folder.probabilities.is_dir():
        return False
    written = datetime.fromtimestamp(folder.manifest.stat().st_mtime, tz=moment.tzinfo)
    return moment - written > keep


def old_probabilities_sensor(settings: PipelineSettings) -> SensorDefinition:
    """The rule with the age of the settings."""

    @sensor(
        name="old_probabilities",
        minimum_interval_seconds=3600,
        default_status=DefaultSensorStatus.RUNNING,
        description=f"Deletes tile probabilities {settings.keep_probabilities_days:g} days after their map.",
    )
    def old_probabilities(context: SensorEvaluationContext, store: ArtefactStore) -> SkipReason:
        keep = timedelta(days=settings.keep_probabilities_days)
        expired = [folder for folder in store.versions() if is_expired(folder, now(), keep)]
        for folder in expired:
            discard_probabilities(folder)
            context.log.info("deleted the tile probabilities of %s", folder.directory)
        return SkipReason(f"deleted the tile probabilities of {len(expired)} maps")

    return old_probabilities
