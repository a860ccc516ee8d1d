"""Open the place of the tiles that a user names: a folder, or the address of a bucket."""

from __future__ import annotations

import os
import re
from pathlib import Path

from drshym_pipeline.ancillary.folder import AncillaryFolder
from drshym_pipeline.ancillary.tile_store import TileStore
from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import PipelineSettings, is_address

_COLLAPSED = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/(?P<rest>[^/].*)")


def open_tiles(place: str | os.PathLike[str]) -> TileStore:
    """Return the tiles in a place.

    Args:
        place: A folder, or the address of a bucket such as `s3://bucket/prefix`.

    Raises:
        InputError: It is neither.
        UnavailableError: The bucket cannot be asked now.
    """
    text = os.fspath(place)
    if not text.strip():  # `Path` makes the current folder of it
        raise InputError("--ancillary", "is empty", "Give a folder or an address of tiles, or leave it out")
    if not is_address(text):
        folder = Path(text)
        if (address := _COLLAPSED.fullmatch(text)) and not folder.is_dir():
            whole = f"{address['scheme']}://{address['rest']}"
            given = "" if isinstance(place, str) else " as text, not as a Path"  # `Path` takes a slash out
            raise InputError(
                text,
                "is not a folder, and as an address it lacks a slash",
                f"Write the address with two slashes{given}: {whole}",
            )
        return AncillaryFolder(folder)
    from drshym_pipeline.ancillary.bucket import AncillaryBucket
    from drshym_pipeline.ancillary.bucket_address import open_bucket
    from drshym_pipeline.ancillary.tile_cache import TileCache

    settings = PipelineSettings.from_environment()
    cache = TileCache(settings.ancillary_cache_path, round(settings.ancillary_cache_gb * 1e9))
    return AncillaryBucket(open_bucket(text), cache)
