"""Local copies of tiles: whole or not at all, bounded, never taken from a reader, also with several processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drshym_pipeline.ancillary.tile_cache import HeldCopy, TileCache
from drshym_pipeline.errors import UnavailableError

SIZE = 1000


def hold(cache: TileCache, name: str, counts: list[str] | None = None) -> HeldCopy:
    def fetch() -> Iterator[bytes]:
        if counts is not None:
            counts.append(name)
        yield name.encode().ljust(SIZE // 2, b".")
        yield b"x" * (SIZE // 2)

    return cache.hold(name, SIZE, fetch)


def copies(cache: TileCache) -> list[str]:
    return sorted(path.name for path in cache.folder.iterdir() if path.suffix == ".tif")


def used_at(cache: TileCache, name: str, second: int) -> None:
    os.utime(cache.folder / name, (second, second))


def test_a_copy_is_downloaded_once_and_its_hash_is_that_of_its_bytes(tmp_path: Path) -> None:
    cache, counts = TileCache(tmp_path / "new" / "cache", 10 * SIZE), []
    first, second = hold(cache, "a.tif", counts), hold(cache, "a.tif", counts)
    assert counts == ["a.tif"]
    assert first.path == second.path
    assert cache.digest("a.tif", lambda: first) == hashlib.sha256(first.path.read_bytes()).hexdigest()


def test_the_copy_that_was_not_used_for_the_longest_time_is_removed_first(tmp_path: Path) -> None:
    cache = TileCache(tmp_path, 2 * SIZE)
    for second, name in enumerate(("a.tif", "b.tif")):
        hold(cache, name)
        used_at(cache, name, second)
    hold(cache, "a.tif")
    hold(cache, "c.tif")
    assert copies(cache) == ["a.tif", "c.tif"]
    digest = cache.digest("b.tif", lambda: pytest.fail("the hash of a removed copy is known"))
    assert digest == hashlib.sha256(b"b.tif".ljust(500, b".") + b"x" * 500).hexdigest()


def test_a_copy_in_use_stays_even_above_the_limit(tmp_path: Path) -> None:
    cache = TileCache(tmp_path, SIZE)
    held = hold(cache, "a.tif")
    used_at(cache, "a.tif", 0)
    hold(cache, "b.tif")
    assert copies(cache) == ["a.tif", "b.tif"]
    assert held.path.read_bytes().startswith(b"a.tif")
    del held
    hold(cache, "c.tif")
    assert copies(cache) == ["c.tif"]


def test_a_copy_that_another_process_uses_stays_until_it_ends(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from drshym_pipeline.ancillary.tile_cache import TileCache\n"
        f"held = TileCache(Path({str(tmp_path)!r}), {SIZE}).hold('a.tif', {SIZE}, lambda: [b'a' * {SIZE}])\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    cache = TileCache(tmp_path, SIZE)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        used_at(cache, "a.tif", 0)
        hold(cache, "b.tif")
        assert copies(cache) == ["a.tif", "b.tif"]
        other.kill()
    hold(cache, "c.tif")
    assert copies(cache) == ["c.tif"]


def test_many_at_once_download_a_copy_once(tmp_path: Path) -> None:
    counts: list[str] = []
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda _: hold(TileCache(tmp_path, 10 * SIZE), "a.tif", counts), range(24)))
    assert counts == ["a.tif"]
    assert {one.path.read_bytes()[:5] for one in held} == {b"a.tif"}


def test_a_short_or_broken_download_leaves_nothing(tmp_path: Path) -> None:
    cache = TileCache(tmp_path, 10 * SIZE)
    with pytest.raises(UnavailableError, match=r"came with 4 of 1,000 bytes"):
        cache.hold("a.tif", SIZE, lambda: [b"half"])

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise UnavailableError("s3://b/a.tif", "cannot be read now", "Try again")

    with pytest.raises(UnavailableError, match="cannot be read now"):
        cache.hold("a.tif", SIZE, broken)
    assert [path.name for path in tmp_path.iterdir()] == [".locks"]
    assert hold(cache, "a.tif").path.stat().st_size == SIZE


def test_a_copy_that_was_cut_is_downloaded_again(tmp_path: Path) -> None:
    cache = TileCache(tmp_path, 10 * SIZE)
    hold(cache, "a.tif").path.write_bytes(b"cut")
    assert hold(cache, "a.tif").path.stat().st_size == SIZE


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match=r"file/cache: cannot be used for copies.*DRSHYM_ANCILLARY_CACHE"):
        hold(TileCache(tmp_path / "file" / "cache", SIZE), "a.tif")
