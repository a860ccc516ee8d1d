"""How many requests a client may send, and how many uploads are received at the same time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from drshym_pipeline.errors import InputError
from drshym_pipeline.service.problems import ProblemError

# A web map asks for some thirty small pictures at every step.
_PICTURES_PER_REQUEST: Final = 10
_UPLOAD_RETRY_SECONDS: Final = 5


class RequestRate:
    """Counts the requests of each client address in a moving window of time.

    Args:
        rate: Requests per time in the notation of the library limits, such as `600/minute`. Map tiles and pictures are
            counted separately, and ten times as many are allowed.

    Raises:
        InputError: The rate cannot be understood.
    """

    def __init__(self, rate: str) -> None:
        try:
            self._rate = parse(rate)
        except ValueError as error:
            raise InputError(
                "DRSHYM_SERVICE_RATE", f"cannot be {rate!r}", "Give a number per time, such as 600/minute"
            ) from error
        per = self._rate
        self._pictures: RateLimitItem = type(per)(per.amount * _PICTURES_PER_REQUEST, per.multiples, "pictures")
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def seconds_to_wait(self, client: str, *, picture: bool) -> int | None:
        """Count a request. Return after how many seconds the next one is allowed, or None if this one is allowed.

        Args:
            client: The address of the client.
            picture: Whether the request is for a map tile or a picture.
        """
        item = self._pictures if picture else self._rate
        if self._limiter.hit(item, client):
            return None
        return max(math.ceil(self._limiter.get_window_stats(item, client).reset_time - time.time()), 1)

    def text(self, *, picture: bool) -> str:
        """Return how much is allowed as text, such as `600 requests in 1 minute`."""
        item, what = (self._pictures, "requests for pictures") if picture else (self._rate, "requests")
        unit = item.GRANULARITY.name
        return f"{item.amount} {what} in {item.multiples} {unit}{'' if item.multiples == 1 else 's'}"


class UploadGate:
    """Admits a limited number of uploads at the same time. It is used in the event loop only.

    Args:
        most: The number of uploads.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._running = 0

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count an upload while the block runs.

        Raises:
            ProblemError: So many are running already.
        """
        if self._running >= self._most:
            raise ProblemError(
                "too_many_uploads",
                f"The service receives {self._most} uploads already. Try again in some seconds.",
                {"Retry-After": str(_UPLOAD_RETRY_SECONDS)},
            )
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
