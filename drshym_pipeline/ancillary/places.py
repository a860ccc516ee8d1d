"""Open the place of the tiles that a user names: a folder, or the address of a bucket."""

from __future__ import annotations

import os
import re
from pathlib import Path

from drshym_pipeline.ancillary.folder import AncillaryFolder
from drshym_pipeline.ancillary.tile_store import TileStore
from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import PipelineSettings, is_address

_COLLAPSED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/[^/]")


def open_tiles(place: str | os.PathLike[str]) -> TileStore:
    """Return the tiles in a place.

    Args:
        place: A folder, or the address of a bucket such as `s3://bucket/prefix`.

    Raises:
        InputError: It is neither.
        UnavailableError: The bucket cannot be asked now.
    """
    text = os.fspath(place)
    if not is_address(text):
        folder = Path(text)
        if _COLLAPSED.match(text) and not folder.is_dir():
            raise InputError(
                text, "is not a folder, and an address lost a slash in it", "Give an address as text, not as a Path"
            )
        return AncillaryFolder(folder)
    from drshym_pipeline.ancillary.bucket import AncillaryBucket
    from drshym_pipeline.ancillary.bucket_address import open_bucket
    from drshym_pipeline.ancillary.tile_cache import TileCache

    settings = PipelineSettings.from_environment()
    cache = TileCache(settings.ancillary_cache_path, round(settings.ancillary_cache_gb * 1e9))
    return AncillaryBucket(open_bucket(text), cache)
