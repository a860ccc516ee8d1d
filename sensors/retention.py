"""The job that deletes results that are no longer needed, and its schedule; it keeps the newest map of each scene."""

from datetime import timedelta

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultScheduleStatus,
    JobDefinition,
    OpExecutionContext,
    RunsFilter,
    ScheduleDefinition,
    in_process_executor,
    job,
    op,
)

from drshym_pipeline.records import now
from drshym_pipeline.settings import PipelineSettings
from resources.run_limits import LONGEST_REVIEW, LONGEST_TAG
from resources.store import ArtefactStore

# A running run writes its note again and again, and no program reads the note of a run that has ended.
PROGRESS_KEPT = timedelta(days=7)
NOT_ENDED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.MANAGED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def active_runs(instance: DagsterInstance) -> set[str]:
    """Return the names of all runs that have not ended, as they are used in the notes of scenes."""
    runs = instance.get_runs(RunsFilter(statuses=NOT_ENDED))
    return {run.root_run_id or run.run_id for run in runs}


def old_probabilities_job(settings: PipelineSettings) -> JobDefinition:
    """Make the job with the numbers of days in the settings."""

    @op(
        name="delete_what_is_not_needed",
        description=f"Deletes backscatter and tile probabilities {settings.keep_probabilities_days:g} days after their "
        f"last use. Deletes after {settings.keep_maps_days:g} days maps that are not the newest of their scene, and "
        "older versions of a scene that have no map, no tile probabilities and no copied source. Deletes notes of "
        f"progress after {PROGRESS_KEPT.days} days, and unfinished files of interrupted work after a week at the "
        "latest.",
    )
    def delete_what_is_not_needed(context: OpExecutionContext, store: ArtefactStore) -> None:
        from drshym_pipeline.products.expiry import delete_expired

        expired = delete_expired(
            store.scenes,
            active_runs(context.instance) - {context.run_id},
            now(),
            keep_predictions=timedelta(days=settings.keep_probabilities_days),
            keep_maps=timedelta(days=settings.keep_maps_days),
        )
        for path in (*expired.predictions, *expired.maps, *expired.versions):
            context.log.info("deleted %s", path)
        notes = store.discard_progress(now() - PROGRESS_KEPT)
        text = f"{expired.text()}, {notes} notes of progress"
        context.log.info("%s", text)
        context.add_output_metadata({"deleted": text})

    @job(
        name="old_probabilities",
        executor_def=in_process_executor,
        tags={LONGEST_TAG: str(LONGEST_REVIEW)},
        description="Deletes backscatter, tile probabilities, older maps and older versions of scenes after the number "
        "of days in the settings, and what interrupted runs left.",
    )
    def old_probabilities() -> None:
        delete_what_is_not_needed()

    return old_probabilities


def old_probabilities_schedule(job_definition: JobDefinition) -> ScheduleDefinition:
    """Make the schedule of the job: once per day. If the daemon did not run at that time, the job runs later."""
    return ScheduleDefinition(
        name="old_probabilities_daily",
        job=job_definition,
        cron_schedule="17 3 * * *",
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.RUNNING,
        description="Deletes results that are no longer needed, once per day.",
    )
