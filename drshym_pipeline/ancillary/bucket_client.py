"""Ask a bucket for its objects; an object that is not there is never confused with a bucket that does not answer."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from drshym_pipeline.errors import InputError, UnavailableError, one_line

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_MOST_LISTED: Final = 200_000  # objects that are looked at for changes
_REMEMBERED_SECONDS: Final = 30.0
_LISTING_SHARE: Final = 50.0  # a listing is remembered for this many times the time it took
_MOST_REMEMBERED: Final = 20_000
_PART_BYTES: Final = 4 << 20
_DENIED: Final = ("401", "403")
_NETWORK: Final = "Check the network, AWS_ENDPOINT_URL and AWS_REGION, then try again"
_RIGHTS: Final = (
    "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and whether they may list and read the bucket, then try again"
)
# Parts of the messages of the library, and the reasons that users read instead.
_REASONS: Final = {
    "ConnectionRefused": "its server refuses the connection",
    "dns error": "the name of its server is not known",
    "TimedOut": "its server does not answer in time",
    "kind: Timeout": "its server does not answer in time",
}


@dataclass(frozen=True)
class ObjectFacts:
    """What a bucket says about an object.

    Args:
        key: Its path below the address.
        size: Bytes.
        tag: Changes with its bytes: the entity tag, or the time of its last change if there is none.
        has_etag: Whether it is an entity tag.
    """

    key: str
    size: int
    tag: str
    has_etag: bool

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> ObjectFacts:
        """Return the facts in the answer of the library."""
        etag = meta["e_tag"]
        return cls(str(meta["path"]), int(meta["size"]), etag or meta["last_modified"].isoformat(), bool(etag))


class BucketClient:
    """The objects below an address.

    Answers are remembered for half a minute, so that a process asks about a tile once, and sees a change soon.

    Args:
        address: The address, such as `s3://bucket/prefix`.
        store: How the objects are reached.
        origin: What else decides which objects these are, such as the endpoint.
    """

    def __init__(self, address: str, store: ObjectStore, origin: str = "") -> None:
        self.address, self.origin = address, origin
        self._store = store
        self._heads: dict[str, tuple[float, ObjectFacts | None]] = {}
        self._listed: tuple[float, tuple[ObjectFacts, ...]] | None = None
        self._checked_at = -_REMEMBERED_SECONDS

    def url(self, key: str) -> str:
        """Return the address of an object."""
        return f"{self.address}/{key}"

    def check(self) -> None:
        """Check that there is something below the address.

        Raises:
            InputError: There is no such bucket, or nothing below the prefix.
            UnavailableError: It cannot be listed now.
        """
        if time.monotonic() - self._checked_at < _REMEMBERED_SECONDS:
            return
        with self._errors_explained(self.address, is_listing=True):
            first = next(iter(self._store.list(chunk_size=1)), None)
        if not first:
            raise InputError(self.address, "has no objects", "Correct the address, or upload the tiles below it")
        self._checked_at = time.monotonic()

    def head(self, key: str) -> ObjectFacts | None:
        """Return the facts of an object; None when there is none.

        Raises:
            UnavailableError: The bucket cannot be asked now.
        """
        known = self._heads.get(key)
        if known is not None and time.monotonic() - known[0] < _REMEMBERED_SECONDS:
            return known[1]
        try:
            with self._errors_explained(self.url(key)):
                found = ObjectFacts.of(self._store.head(key))
        except FileNotFoundError:
            found = None
        if len(self._heads) >= _MOST_REMEMBERED:
            self._heads.clear()
        self._heads[key] = time.monotonic(), found
        return found

    def read(self, facts: ObjectFacts) -> Iterator[bytes]:
        """Yield the bytes of an object as it was when its facts were asked for.

        Raises:
            UnavailableError: It cannot be read now, or was changed or removed since.
        """
        from obstore.exceptions import PreconditionError

        url = self.url(facts.key)
        try:
            with self._errors_explained(url):
                options: Any = {"if_match": facts.tag} if facts.has_etag else {}
                answer = self._store.get(facts.key, options=options)
                found = ObjectFacts.of(answer.meta)
                parts = iter(answer.stream(min_chunk_size=_PART_BYTES))
            is_same = (found.size, found.tag) == (facts.size, facts.tag)
        except (PreconditionError, FileNotFoundError):
            is_same = False
        if not is_same:
            self._heads.pop(facts.key, None)  # it is asked for again
            raise UnavailableError(url, "was changed or removed while it was read", "Try again")
        left = facts.size
        while True:
            with self._errors_explained(url, is_body=True):
                part = next(parts, None)
            if part is None:
                break
            left -= len(part)
            yield bytes(part)
        if left:
            raise UnavailableError(url, f"came without {left:,} of its {facts.size:,} bytes", _NETWORK)

    def list(self) -> tuple[ObjectFacts, ...]:
        """Return the facts of all objects, remembered the longer the listing takes.

        Raises:
            InputError: There are too many.
            UnavailableError: They cannot be listed now.
        """
        if self._listed is not None and time.monotonic() < self._listed[0]:
            return self._listed[1]
        start = time.monotonic()
        self._heads.clear()  # what is asked for from now on must not be older than the listing
        found: list[ObjectFacts] = []
        with self._errors_explained(self.address, is_listing=True):
            for chunk in self._store.list(chunk_size=1000):
                found += map(ObjectFacts.of, chunk)
                if len(found) > _MOST_LISTED:
                    break
        if len(found) > _MOST_LISTED:
            raise InputError(
                self.address,
                f"has more than {_MOST_LISTED:,} objects, too many to look for changed tiles",
                "Copy the tiles of your area into a bucket or below a prefix of their own",
            )
        end = time.monotonic()
        self._listed = end + max(_REMEMBERED_SECONDS, _LISTING_SHARE * (end - start)), tuple(found)
        return self._listed[1]

    @contextmanager
    def _errors_explained(self, subject: str, *, is_listing: bool = False, is_body: bool = False) -> Iterator[None]:
        """Raise one sentence that says why a bucket could not be asked.

        That an object is not there, or was changed, is left to the caller.
        """
        from obstore.exceptions import BaseError, PreconditionError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            if isinstance(error, PreconditionError | FileNotFoundError) and not (is_listing or is_body):
                raise
            status, reason = _reason(error)
            if is_listing and status == "404":
                raise InputError(subject, f"cannot be listed: {reason}", "Correct the address of the bucket") from error
            remedy = _RIGHTS if status in _DENIED else _NETWORK
            raise UnavailableError(
                subject, f"cannot be {'listed' if is_listing else 'read'} now: {reason}", remedy
            ) from error


def _reason(error: BaseException) -> tuple[str, str]:
    """Return the status of an answer, empty if there was none, and why a request failed."""
    text = str(error)
    if (answer := re.search(r"status code: (\d{3})((?: [A-Za-z]+)*)", text)) is not None:
        code = re.search(r"<Code>(\w+)</Code>", text)
        return answer[1], f"its server answers {answer[1]}{answer[2]}{f' ({code[1]})' if code else ''}"
    for part, reason in _REASONS.items():
        if part in text:
            return "", reason
    return "", one_line(error).partition(" Debug source:")[0].rpartition(" - ")[2].rstrip(".")
