"""What all asset bodies use: failures that are not retried, the name of the run, and its progress."""

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import AssetExecutionContext, DagsterRun, Failure, MetadataValue

from drshym_pipeline.errors import InputError, UnavailableError
from resources.progress import RunProgress
from resources.store import ArtefactStore


@contextmanager
def permanent_input_errors() -> Iterator[None]:
    """Make an `InputError` a failure that is not retried: the same input gives the same answer.

    An `UnavailableError` becomes a failure that may be retried.
    """
    try:
        yield
    except (InputError, UnavailableError) as error:
        raise Failure(
            description=str(error),
            metadata={
                "subject": MetadataValue.text(error.subject),
                "problem": MetadataValue.text(error.problem),
                "remedy": MetadataValue.text(error.remedy),
            },
            allow_retries=isinstance(error, UnavailableError),
        ) from error


def run_name(run: DagsterRun) -> str:
    """Return the name under which a run keeps what it works on: the same for an interrupted run and its retries."""
    return run.root_run_id or run.run_id


def run_progress(context: AssetExecutionContext, store: ArtefactStore) -> RunProgress:
    """Return the progress listener of this run."""
    return RunProgress(store.progress_path(context.run_id), context.log)
