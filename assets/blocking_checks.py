"""Checks that stop the assets after them, and say why.

When a blocking check fails, Dagster fails its step with only the name of the check: the sentence of the result is only
in the log. The checks made here fail their step with that sentence, so that it is shown on the run's page, in the
`failures/` record and in `drshym status`.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, cast

from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    Failure,
    PartitionsDefinition,
    asset_check,
)

Check = Callable[..., AssetCheckResult]


def stopping_sentence(name: str, description: str, result: AssetCheckResult) -> str | None:
    """Return why a result stops the run, in one line, or None if it does not.

    Args:
        name: Name of the check.
        description: What the check expects; used if the result has no sentence of its own.
        result: The result of the check.
    """
    if result.passed or result.severity is not AssetCheckSeverity.ERROR:
        return None
    return f"{name} failed: {' '.join((result.description or f'expected: {description}').split())}"


def blocking_check(
    *, asset: str, description: str, partitions_def: PartitionsDefinition | None = None
) -> Callable[[Check], AssetChecksDefinition]:
    """Make a function a check that blocks what is downstream of `asset` in the same run.

    Args:
        asset: Name of the asset that is checked.
        description: What the check expects, for people.
        partitions_def: The partitions of the asset, if it has any; the check then has one result per partition.
    """

    def decorate(check: Check) -> AssetChecksDefinition:
        @wraps(check)
        def explained(*args: Any, **kwargs: Any) -> Iterator[AssetCheckResult]:
            result = check(*args, **kwargs)
            yield result  # first, or Dagster would not keep it
            sentence = stopping_sentence(check.__name__, description, result)
            if sentence is not None:
                raise Failure(sentence, allow_retries=False)

        made = asset_check(asset=asset, blocking=True, description=description, partitions_def=partitions_def)
        # Dagster takes generators too, but its type does not say so.
        return made(cast("Check", explained))

    return decorate
