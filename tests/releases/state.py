"""The kept state of earlier releases: unpacked into a folder, with its paths made those of that folder."""

from __future__ import annotations

import sqlite3
import tarfile
from pathlib import Path

PLACEHOLDER = "/drshym-state"
KEPT = Path(__file__).parent
_TEXT_FILES = {".json", ".jsonl", ".yaml", ".yml", ".md", ".html", ".txt", ".geojson", ""}


def relocate(folder: Path, before: str, after: str) -> None:
    """Replace a path in every text file and database of a state, but not in delivered maps: their bytes are pinned.

    Args:
        folder: The state.
        before: The path it holds now.
        after: The path to hold instead.
    """
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or {"products", "maps"} & set(path.relative_to(folder).parts):
            continue
        if path.suffix == ".db":
            _relocate_database(path, before, after)
        elif path.suffix in _TEXT_FILES:
            data = path.read_bytes()
            if before.encode() in data:
                path.write_bytes(data.replace(before.encode(), after.encode()))


def _relocate_database(path: Path, before: str, after: str) -> None:
    with sqlite3.connect(path) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for column in [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]:
                connection.execute(
                    f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '
                    f'WHERE typeof("{column}") = \'text\' AND instr("{column}", ?)',
                    (before, after, before),
                )
    connection.close()


def unpack(release: str, home: Path) -> Path:
    """Unpack the state of a release into `home`, a folder that does not exist yet, and return it.

    Args:
        release: Name of the archive in this folder, without `.tar.xz`.
        home: The instance's folder; it becomes its `DAGSTER_HOME`.
    """
    with tarfile.open(KEPT / f"{release}.tar.xz") as archive:
        archive.extractall(home.parent / f"{home.name}-unpacked", filter="data")
    (home.parent / f"{home.name}-unpacked" / "state").replace(home)
    (home.parent / f"{home.name}-unpacked").rmdir()
    relocate(home, PLACEHOLDER, str(home))
    return home
