"""Find the tiles of a layer in a folder by their official names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from drshym_pipeline.ancillary.layers import ELEVATION, ELEVATION_LIST, Cell, Layer, elevation_name
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import LayerTile
from drshym_pipeline.storage import sha256_file, to_uri

_HASHED: Final = 4096  # files whose hashes a process remembers
_MOST_LIST_BYTES: Final = 16 << 20  # the official list of tiles has 1.1 MB


class AncillaryFolder:
    """A folder with tiles of layers, flat or in the folders of the official buckets.

    Args:
        root: The folder.

    Raises:
        InputError: It is no folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise InputError(
                root,
                "is not a folder, so it has no reference water and no elevation",
                "Give the folder of the tiles as --ancillary or DRSHYM_ANCILLARY, or leave both out",
            )
        self.root = root.absolute()
        self._land: frozenset[str] | None = None

    def _find(self, place: PurePosixPath) -> Path | None:
        """Return a file by its path in a bucket, or by any shorter end of it: flat is the shortest."""
        parts = place.parts
        candidates = (self.root.joinpath(*parts[start:]) for start in range(len(parts) - 1, -1, -1))
        return next((path for path in candidates if path.is_file()), None)

    def tile(self, layer: Layer, cell: Cell) -> Path | None:
        """Return the file of a tile; None when it is not there."""
        return self._find(layer.place(cell)) if layer.covers(cell) else None

    def is_sea(self, layer: Layer, cell: Cell) -> bool:
        """Return whether a square of the elevation model is open sea.

        The official list of tiles says so: it must be in the folder too. Without it a missing tile is only missing.
        """
        if layer is not ELEVATION:
            return False
        if self._land is None:
            self._land = frozenset(self._listed())
        return bool(self._land) and elevation_name(cell) not in self._land

    def _listed(self) -> Iterator[str]:
        """Yield the names in the list of tiles; none when there is no list."""
        path = self._find(ELEVATION_LIST)
        if path is None:
            return
        if path.stat().st_size > _MOST_LIST_BYTES:
            raise InputError(path, "is too large for the list of elevation tiles", "Download tileList.txt again")
        names = path.read_text("utf-8", errors="replace").split()
        known = [name.rstrip("/") for name in names if name.startswith("Copernicus_DSM_COG_10_")]
        if not known:
            raise InputError(path, "names no elevation tile", "Download tileList.txt again, or remove it")
        yield from known


def tile_record(path: Path) -> LayerTile:
    """Return the address and the hash of a tile. A process reads a file once for it, as long as it is not changed."""
    facts = path.stat()
    return LayerTile(uri=to_uri(path), sha256=_hashed(path, facts.st_size, facts.st_mtime_ns))


@lru_cache(maxsize=_HASHED)
def _hashed(path: Path, size: int, mtime_ns: int) -> str:
    del size, mtime_ns  # of the key alone
    return sha256_file(path)
