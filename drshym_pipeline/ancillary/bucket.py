"""Find the tiles of a layer in a bucket by their official names, and read them from local copies."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any, Final

from drshym_pipeline.ancillary.bucket_client import BucketClient, ObjectFacts
from drshym_pipeline.ancillary.tile_cache import HeldCopy, TileCache
from drshym_pipeline.ancillary.tile_store import Tile, TileStore
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import LayerTile

_MOST_TILE_BYTES: Final = 2 << 30  # the largest official tiles have some 100 MB


class ObjectTile(Tile):
    """A tile in a bucket; its bytes are those of the moment when it was found.

    Args:
        client: The bucket.
        cache: Its local copies.
        facts: What the bucket says about it.
    """

    def __init__(self, client: BucketClient, cache: TileCache, facts: ObjectFacts) -> None:
        self._client, self._cache, self._facts = client, cache, facts
        self._held: HeldCopy | None = None
        self._lock = Lock()  # the layers of a map are read by several threads
        identity = "\n".join((client.origin, self.name, str(facts.size), facts.tag))
        self._copy = f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}-{self.parts[-1]}"

    @property
    def name(self) -> str:
        """Its address."""
        return self._client.url(self._facts.key)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of its path below the address of the bucket."""
        return PurePosixPath(self._facts.key).parts

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self._facts.size

    @property
    def path(self) -> Path:
        """Its copy, which is downloaded at first use and not removed as long as this object exists.

        Raises:
            UnavailableError: It cannot be downloaded now.
        """
        return self._hold().path

    def record(self) -> LayerTile:
        """Return its address and the hash of its bytes. It is downloaded only if its hash is not known yet."""
        return LayerTile(uri=self.name, sha256=self._cache.digest(self._copy, self._hold))

    def _hold(self) -> HeldCopy:
        with self._lock:
            if self._held is None:
                self._held = self._cache.hold(self._copy, self.size, lambda: self._client.read(self._facts))
            return self._held


class AncillaryBucket(TileStore):
    """A bucket, or a prefix in it, with tiles of layers, flat or in the folders of the official buckets.

    Which objects there are is asked once for each, so that one map uses one state of them.

    Args:
        client: The bucket.
        cache: Its local copies.

    Raises:
        InputError: There is no such bucket, or nothing below the prefix.
        UnavailableError: It cannot be asked now.
    """

    def __init__(self, client: BucketClient, cache: TileCache) -> None:
        super().__init__(client.address)
        client.check()
        self._client, self._cache = client, cache
        self._tiles: dict[PurePosixPath, ObjectTile | None] = {}
        self._lock = Lock()

    def _look_up(self, place: PurePosixPath) -> Tile | None:
        with self._lock:
            if place not in self._tiles:
                facts = self._client.head(str(place))
                self._tiles[place] = None if facts is None else self._tile(facts)
            return self._tiles[place]

    def _tile(self, facts: ObjectFacts) -> ObjectTile:
        if facts.size > _MOST_TILE_BYTES:
            raise InputError(
                self._client.url(facts.key),
                f"has {facts.size:,} bytes, but a tile has at most {_MOST_TILE_BYTES:,}",
                "Upload the official tile again, or remove it",
            )
        return ObjectTile(self._client, self._cache, facts)

    def fingerprint(self) -> list[Any]:
        """Return the keys, sizes and tags of all objects."""
        return [self._client.address, *sorted([facts.key, facts.size, facts.tag] for facts in self._client.list())]
