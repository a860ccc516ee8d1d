"""The state of a scene (mapped, waiting or failed), from the small files of the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drshym_pipeline.cli import main
from drshym_pipeline.commands.status import bytes_of, size_text
from drshym_pipeline.errors import InputError
from drshym_pipeline.scene_folder import SceneFolder
from drshym_pipeline.scene_store import SceneStore, WorkNote
from drshym_pipeline.storage import write_json

SCENE = "S1_x"


@pytest.fixture
def store(tmp_path: Path) -> SceneStore:
    return SceneStore(tmp_path / "store")


def request(store: SceneStore, number: int = 1) -> str:
    run_key = f"{SCENE}:{number}:etag-1"
    store.write_sources(SCENE, {"files": ["S1_x.tif"], "run_key": run_key})
    return run_key


def fail(store: SceneStore, after: timedelta = timedelta(seconds=1)) -> None:
    moment = datetime.now(UTC) + after
    write_json(
        store.root / "failures" / f"{SCENE}.json", {"reason": "cut in half", "at": moment.isoformat(), "job": "x"}
    )


def mapped(store: SceneStore, run_key: str | None) -> bool:
    return store.set_current(SCENE, SceneFolder(store.folder / SCENE / "abc").map("123"), run_key)


def test_a_requested_scene_waits_until_it_is_mapped(store: SceneStore):
    run_key = request(store)
    assert store.names() == [SCENE]
    assert store.status(SCENE).state == "waiting"
    assert "requested 20" in store.status(SCENE).reason
    mapped(store, run_key)
    assert store.status(SCENE).state == "mapped"


def test_a_scene_whose_file_has_changed_waits_again_and_keeps_its_earlier_map(store: SceneStore):
    mapped(store, request(store))
    request(store, 2)
    found = store.status(SCENE)
    assert found.state == "waiting"
    assert found.map is not None


def test_a_failure_counts_for_its_own_request_only(store: SceneStore):
    request(store)
    fail(store)
    assert (store.status(SCENE).state, store.status(SCENE).reason) == ("failed", "cut in half")
    fail(store, after=timedelta(days=-1))
    assert store.status(SCENE).state == "waiting", "the file has been requested again since"


def test_an_overtaken_run_does_not_put_an_older_map_back(store: SceneStore):
    older, newer = request(store), request(store, 2)
    assert mapped(store, newer)
    assert not mapped(store, older)
    assert store.status(SCENE).state == "mapped"


def test_what_release_0_1_0_wrote_is_read(store: SceneStore):
    write_json(store.folder / SCENE / "sources.json", {"files": ["S1_x.tif"], "run_key": f"{SCENE}:1:e"})
    write_json(store.folder / SCENE / "current.json", {"version": "abc"})
    write_json(store.folder / SCENE / "staged.json", {"version": "abc"})
    assert store.status(SCENE).state == "mapped"
    found = store.current(SCENE)
    assert found is not None
    assert found.products.name == "products"
    assert store.note(SCENE, "a run") == WorkNote(version="abc")


def test_an_error_names_the_damaged_file(store: SceneStore):
    write_json(store.folder / SCENE / "current.json", {"map": 3})
    with pytest.raises(InputError, match=r"current\.json"):
        store.current(SCENE)


def test_a_run_keeps_its_note_when_another_one_is_written(store: SceneStore):
    store.write_note(SCENE, "first", WorkNote(version="a", tiles="tiles/64-8"))
    assert store.note(SCENE, "third").version == "a"
    store.write_note(SCENE, "second", WorkNote(version="b"))
    assert store.note(SCENE, "first") == WorkNote(version="a", tiles="tiles/64-8")
    assert store.note(SCENE, "third") == WorkNote(version="a", tiles="tiles/64-8"), "it was noted at its first look"
    assert store.note(SCENE, "fourth").version == "b"


def test_status_shows_waiting_and_failed_scenes_other_failures_and_the_disk(
    store: SceneStore, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.setenv("DRSHYM_HOME", str(tmp_path))
    request(store)
    assert main(["status"]) == 0
    out = capfd.readouterr().out
    assert "1 scene, 0 outdated, 1 waiting, 0 failed" in out
    assert "requested 20" in out
    fail(store)
    write_json(store.root / "failures" / "train_model.json", {"reason": "no data", "at": "2026-01-02T03:04:05+00:00"})
    assert main(["status"]) == 0
    out = capfd.readouterr().out
    assert "1 scene, 0 outdated, 0 waiting, 1 failed" in out
    assert "S1_x failed: cut in half" in out
    assert "train_model failed at 2026-01-02 03:04 UTC: no data" in out
    assert "disk use: store " in out
    assert main(["status", "S1_y"]) == 2
    assert "Did you mean 'S1_x'" in capfd.readouterr().err


DAMAGED_FAILURES = {
    "no reason": '{"at": "2026-01-02T03:04:05+00:00"}',
    "no time": '{"reason": "cut in half"}',
    "a number as the reason": '{"reason": 3, "at": "2026-01-02T03:04:05+00:00"}',
    "a word as the time": '{"reason": "cut in half", "at": "soon"}',
    "a list": "[]",
    "null": "null",
    "not JSON": '{"reason": ',
}


@pytest.mark.parametrize("content", DAMAGED_FAILURES.values(), ids=DAMAGED_FAILURES.keys())
def test_a_damaged_failure_is_an_error_that_names_the_file(store: SceneStore, content: str):
    (store.root / "failures").mkdir(parents=True)
    (store.root / "failures" / f"{SCENE}.json").write_text(content)
    for read in (lambda: store.failure(SCENE), store.other_failures):
        with pytest.raises(InputError, match=rf"{SCENE}\.json: .* Delete the file"):
            read()


def test_status_names_a_damaged_failure_in_one_line(
    store: SceneStore, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.setenv("DRSHYM_HOME", str(tmp_path))
    request(store)
    write_json(store.root / "failures" / f"{SCENE}.json", {"job": "x"})
    assert main(["status"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert f"{SCENE}.json: field 'reason' is missing" in line


def test_sizes_are_written_in_a_suitable_unit(tmp_path: Path):
    assert [size_text(count) for count in (0, 999, 1000, 12_345_678, 3 * 10**12)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "12.3 MB",
        "3.0 TB",
    ]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"12345")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "b")
    assert bytes_of(tmp_path / "a") == 5
    assert bytes_of(tmp_path / "nothing") == 0
