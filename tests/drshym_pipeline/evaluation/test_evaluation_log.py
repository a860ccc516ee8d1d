"""The commit of the running code, as cards and the log show it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from drshym_pipeline.evaluation import evaluation_log
from drshym_pipeline.evaluation.evaluation_log import (
    UNCOMMITTED,
    UNKNOWN_COMMIT,
    code_version,
    running_version,
    stated_commit,
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one commit."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "test")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "test@localhost")
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "code.py").write_text("value = 1\n")
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "Add code"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def test_a_clean_checkout_is_named_by_its_commit(checkout: Path) -> None:
    assert re.fullmatch("[0-9a-f]{12}", code_version(checkout))


def test_with_uncommitted_changes_no_commit_is_named(checkout: Path) -> None:
    (checkout / "code.py").write_text("value = 2\n")
    assert code_version(checkout) == UNCOMMITTED == "unknown (uncommitted changes)"


def test_what_a_run_writes_into_its_checkout_is_no_change(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_log, "code_version", lambda: code_version(checkout))
    running_version.cache_clear()
    try:
        before = running_version()
        (checkout / "code.py").write_text("value = 3\n")
        assert running_version() == before != code_version(checkout)
    finally:
        running_version.cache_clear()


def test_code_outside_of_a_checkout_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code_version(tmp_path) == UNKNOWN_COMMIT


def test_the_commit_in_a_file_of_an_earlier_release_is_read_by_the_same_rule() -> None:
    assert stated_commit("0bcda765afc7-dirty") == UNCOMMITTED
    assert stated_commit("0bcda765afc7") == "0bcda765afc7"
