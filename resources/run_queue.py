"""The run queue: Dagster's queue, which also gives every run the tags that the limits count."""

from dagster import DagsterRun

from resources.dagster_internals import QueuedRunCoordinator, SubmitRunContext, add_run_tags, pools_of
from resources.run_limits import limit_tags


class LimitedRunQueue(QueuedRunCoordinator):
    """Queues runs and tags them, so that runs started from the lineage page are limited like those of the jobs.

    Dagster's pools alone cannot express the limits: the same assets map a new scene and an archive, and a new scene
    must not wait for an archive.
    """

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Tag the run and add it to the queue."""
        run = context.dagster_run
        if missing := limit_tags(pools_of(run), run.tags):
            add_run_tags(self._instance, run.run_id, missing)
        return super().submit_run(context)
