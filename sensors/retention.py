"""The rule that deletes tile probabilities and notes of progress nobody needs; maps and records stay for ever."""

from datetime import datetime, timedelta

from dagster import DefaultSensorStatus, SensorDefinition, SensorEvaluationContext, SkipReason, sensor

from drshym_pipeline.mapping import SceneFolder, discard_probabilities
from drshym_pipeline.records import now
from drshym_pipeline.settings import PipelineSettings
from resources.store import ArtefactStore

# A run that goes on writes its note again and again; who watches a run does it while it goes on.
PROGRESS_KEPT = timedelta(days=7)


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
        description=f"Deletes tile probabilities {settings.keep_probabilities_days:g} days after their map, "
        f"and notes of progress after {PROGRESS_KEPT.days} days.",
    )
    def old_probabilities(context: SensorEvaluationContext, store: ArtefactStore) -> SkipReason:
        keep = timedelta(days=settings.keep_probabilities_days)
        expired = [folder for folder in store.versions() if is_expired(folder, now(), keep)]
        for folder in expired:
            discard_probabilities(folder)
            context.log.info("deleted the tile probabilities of %s", folder.directory)
        notes = store.discard_progress(now() - PROGRESS_KEPT)
        return SkipReason(f"deleted the tile probabilities of {len(expired)} maps and {notes} notes of progress")

    return old_probabilities
