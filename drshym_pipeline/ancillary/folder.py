"""Find the tiles of a layer in a folder by their official names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Final

from drshym_pipeline.ancillary.tile_store import Tile, TileStore
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import LayerTile
from drshym_pipeline.storage import sha256_file, to_uri

_HASHED: Final = 4096  # files whose hashes a process remembers


@dataclass(frozen=True)
class FileTile(Tile):
    """A tile in a folder.

    Args:
        file: The file.
    """

    file: Path

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.file)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of its path."""
        return self.file.parts

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.file.stat().st_size

    @property
    def path(self) -> Path:
        """The file itself."""
        return self.file

    def record(self) -> LayerTile:
        """Return its address and hash. A process reads a file once for it, as long as it is not changed."""
        return tile_record(self.file)


class AncillaryFolder(TileStore):
    """A folder with tiles of layers, flat or in the folders of the official buckets.

    Args:
        root: The folder.

    Raises:
        InputError: It is not a folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            reason = "is not a folder" if root.exists() else "the folder does not exist"
            raise InputError(
                root,
                f"{reason}, so there is no reference water and no elevation",
                "Give the folder of the tiles as --ancillary or DRSHYM_ANCILLARY, or leave both out",
            )
        self._folder = root.absolute()
        super().__init__(self._folder)

    def _look_up(self, place: PurePosixPath) -> Tile | None:
        path = self._folder / place
        return FileTile(path) if path.is_file() else None

    def fingerprint(self) -> list[Any]:
        """Return the paths, sizes and times of all files."""
        paths = sorted(path for path in self._folder.rglob("*") if path.is_file())
        return [[str(path), (facts := path.stat()).st_size, facts.st_mtime_ns] for path in paths]


def tile_record(path: Path) -> LayerTile:
    """Return the address and the hash of a tile. A process reads a file once for it, as long as it is not changed."""
    facts = path.stat()
    return LayerTile(uri=to_uri(path), sha256=_hashed(path, facts.st_size, facts.st_mtime_ns))


@lru_cache(maxsize=_HASHED)
def _hashed(path: Path, size: int, mtime_ns: int) -> str:
    del size, mtime_ns  # of the key alone
    return sha256_file(path)
