"""What a place with tiles of layers offers, whether it is a folder or a bucket."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from drshym_pipeline.ancillary.layers import ELEVATION, ELEVATION_LIST, Cell, Layer, elevation_name
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import LayerTile

_MOST_LIST_BYTES: Final = 16 << 20  # the official list of tiles has 1.1 MB


class Tile(ABC):
    """A file of a layer."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its path or address, as messages name it."""

    @property
    @abstractmethod
    def parts(self) -> tuple[str, ...]:
        """The parts of its path; tiles are listed in their order."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Its size in bytes."""

    @property
    @abstractmethod
    def path(self) -> Path:
        """The local file with its bytes, which stays there as long as this object.

        Raises:
            UnavailableError: It cannot be read from its bucket now.
        """

    @abstractmethod
    def record(self) -> LayerTile:
        """Return its address and the hash of its bytes.

        Raises:
            UnavailableError: It cannot be read from its bucket now.
        """


class TileStore(ABC):
    """A place with tiles of layers, flat or in the folders of the official buckets.

    Args:
        root: The folder, or the address of the bucket.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = root
        self._land: frozenset[str] | None = None

    @abstractmethod
    def _look_up(self, place: PurePosixPath) -> Tile | None:
        """Return the file with exactly this path below the root; None when there is none."""

    @abstractmethod
    def fingerprint(self) -> list[Any]:
        """Return plain values of JSON that change whenever a file is added, changed or removed.

        Raises:
            InputError: There are too many files to look at.
            UnavailableError: The bucket cannot be listed now.
        """

    def _find(self, place: PurePosixPath) -> Tile | None:
        """Return a file by its path in an official bucket, or by any shorter end of it: flat is the shortest."""
        parts = place.parts
        candidates = (PurePosixPath(*parts[start:]) for start in range(len(parts) - 1, -1, -1))
        return next((tile for path in candidates if (tile := self._look_up(path)) is not None), None)

    def tile(self, layer: Layer, cell: Cell) -> Tile | None:
        """Return the file of a tile; None when it is not there.

        Raises:
            UnavailableError: Whether it is there cannot be found out now.
        """
        return self._find(layer.place(cell)) if layer.covers(cell) else None

    def is_sea(self, layer: Layer, cell: Cell) -> bool:
        """Return whether a square of the elevation model is open sea.

        The official list of tiles says so: it must be there too. Without it a missing tile is only missing.
        """
        if layer is not ELEVATION:
            return False
        if self._land is None:
            self._land = frozenset(self._listed())
        return bool(self._land) and elevation_name(cell) not in self._land

    def _listed(self) -> Iterator[str]:
        """Yield the names in the list of tiles; none when there is no list."""
        found = self._find(ELEVATION_LIST)
        if found is None:
            return
        if found.size > _MOST_LIST_BYTES:
            raise InputError(found.name, "is too large for the list of elevation tiles", "Download tileList.txt again")
        names = found.path.read_text("utf-8", errors="replace").split()
        known = [name.rstrip("/") for name in names if name.startswith("Copernicus_DSM_COG_10_")]
        if not known:
            raise InputError(found.name, "names no elevation tile", "Download tileList.txt again, or remove it")
        yield from known
