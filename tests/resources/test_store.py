"""The records of the artefact store: complete or missing, found again, and deleted on request."""

from pathlib import Path

import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import now
from drshym_pipeline.scene_store import RunFailure
from resources.progress import RunProgress
from resources.store import ArtefactStore


@pytest.fixture
def store(tmp_path: Path) -> ArtefactStore:
    return ArtefactStore(root=str(tmp_path / "store"))


def test_a_record_is_read_back_and_a_missing_one_is_none(store: ArtefactStore):
    store.write_record("labelled_tiles", {"sha256": "abc"})
    assert store.find_record("labelled_tiles") == {"sha256": "abc"}
    assert store.find_record("training") is None


def test_an_error_about_an_unknown_scene_says_what_to_do(store: ArtefactStore):
    with pytest.raises(InputError, match="watched folder"):
        store.sources("x")
    with pytest.raises(InputError, match="raw_scenes"):
        store.scenes.staged("x", "run")
    assert store.scenes.current("x") is None


def test_an_object_is_found_by_its_digest_and_the_newest_are_kept(store: ArtefactStore):
    digests = [store.put_object("seen", {"n": number}) for number in range(30)]
    assert store.get_object("seen", digests[-1]) == {"n": 29}
    assert store.get_object("seen", digests[0]) is None
    assert len(list((store.path / "objects" / "seen").glob("*.json"))) == 20


def test_an_object_written_again_counts_as_new(store: ArtefactStore):
    first = store.put_object("seen", {"n": 0})
    for number in range(1, 60):
        store.put_object("seen", {"n": number})
        assert store.put_object("seen", {"n": 0}) == first
    assert store.get_object("seen", first) == {"n": 0}


def test_failures_are_kept_and_cleared(store: ArtefactStore):
    failure = RunFailure(reason="no VV", at=now(), step="raw_scenes", run_id="r", job="map_scene", partition="x")
    store.scenes.write_failure("x", failure)
    assert store.scenes.failure("x") == failure
    store.scenes.clear_failure("x")
    store.scenes.clear_failure("x")
    assert store.scenes.failure("x") is None


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str, *values: object) -> None:
        self.lines.append(text % values)


def test_progress_is_written_and_logged_at_a_limited_rate(store: ArtefactStore):
    clock = iter(range(1, 1000))
    log = Log()
    progress = RunProgress(store.progress_path("run"), log, clock=lambda: next(clock) / 10)
    for done in range(101):
        progress("train", done, 100)
    progress("evaluate", 0, 3)
    assert 3 <= len(log.lines) <= 5
    assert log.lines[0] == "train: 0 of 100"
    assert "train: 100 of 100" in log.lines
    from drshym_pipeline.storage import read_json

    written = read_json(store.progress_path("run"))
    assert (written["stage"], written["done"], written["total"]) == ("evaluate", 0, 3)
    assert {"started", "updated"} <= set(written)


def test_progress_of_many_small_scenes_is_written_once_per_second_and_never_logged(store: ArtefactStore):
    from drshym_pipeline.storage import read_json

    path = store.progress_path("run")
    moments = iter([1.0, 1.2, 1.4, 2.1])
    progress = RunProgress(path, None, clock=lambda: next(moments))
    seen = []
    for stage, done in (("describe", 0), ("describe", 1), ("tiles", 0), ("tiles", 1)):
        progress(stage, done, 1)
        seen.append(read_json(path)["stage"])
    assert seen == ["describe", "describe", "describe", "tiles"]
