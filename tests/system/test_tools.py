"""A test never passes silently when a program of the operating system is missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest


def test_a_missing_program_is_an_error_in_continuous_integration(
    system_tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(RuntimeError, match="no-such-program is not installed"):
        system_tool("no-such-program")


def test_a_missing_program_is_a_skip_with_a_reason_elsewhere(
    system_tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        system_tool("no-such-program")


def test_an_installed_program_is_found(system_tool: Callable[[str], str]) -> None:
    assert system_tool("sh").endswith("/sh")
