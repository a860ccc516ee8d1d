"""The systemd units start what `make ui` and `make mlflow` start, hardened, and systemd accepts them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy import local
from deploy.service_logs import ServiceLog
from deploy.supervisor import Service
from drshym_pipeline.settings import PipelineSettings
from resources.no_telemetry import SWITCHES

UNITS = sorted((local.ROOT / "deploy" / "systemd").glob("*.service"))
SERVICES = [path for path in UNITS if path.stem != "drshym-prepare"]
CHECKOUT, HOME, CACHE = "/opt/drshym", "/var/lib/drshym", "/var/cache/drshym"


def entries(text: str) -> list[tuple[str, str]]:
    """Return all `key=value` lines of a unit, with continued lines joined."""
    lines = text.replace("\\\n", " ").splitlines()
    return [(key, value) for key, sign, value in (line.partition("=") for line in lines) if sign and key[0] != "#"]


def values(text: str, key: str) -> list[str]:
    return [value for name, value in entries(text) if name == key]


def environment(text: str) -> dict[str, str]:
    words = [word for value in values(text, "Environment") for word in shlex.split(value)]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def command(text: str) -> list[str]:
    return shlex.split(values(text, "ExecStart")[0])


def on_this_machine(text: str, home: Path) -> str:
    """A unit for this checkout, its interpreter and another folder of state."""
    tools = str(Path(sys.executable).parent)
    text = text.replace(f"{CHECKOUT}/.venv/bin", tools).replace(CHECKOUT, str(local.ROOT))
    text = text.replace(CACHE, str(home / "cache")).replace(HOME, str(home))
    return re.sub("^(User|Group)=drshym$", r"\1=root", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("drshym-daemon", local.daemon_command()),
        ("drshym-webserver", local.web_command(3000)),
        ("drshym-mlflow", local.mlflow_command(PipelineSettings(home=Path(HOME)), 5000)),
    ],
)
def test_a_unit_runs_what_the_supervisor_runs(unit: str, expected: list[str]) -> None:
    tools = str(Path(sys.executable).parent)
    documented = [word.replace(tools, f"{CHECKOUT}/.venv/bin").replace(str(local.ROOT), CHECKOUT) for word in expected]
    assert command((local.ROOT / "deploy" / "systemd" / f"{unit}.service").read_text()) == documented


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_has_the_environment_of_a_service_and_stays_on_this_machine(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = path.read_text()
    set_here = environment(text)
    monkeypatch.setattr(os, "environ", {})
    ours = local.environment(Path(HOME))
    documented = {name: value.replace(str(local.ROOT), CHECKOUT) for name, value in ours.items() if name != "PATH"}
    assert SWITCHES.items() <= documented.items()
    assert {name: set_here.get(name) for name in documented} == documented
    assert set_here["PATH"].startswith(f"{CHECKOUT}/.venv/bin:")
    assert values(text, "IPAddressDeny") == ["any"]
    assert values(text, "IPAddressAllow") == ["localhost"]


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_a_service_is_started_again_at_a_limited_rate_without_end(path: Path) -> None:
    text = path.read_text()
    assert values(text, "Restart") == ["always"]
    assert values(text, "RestartSec") == ["10"]
    assert values(text, "StartLimitIntervalSec") == ["0"]
    assert values(text, "Requires") == ["drshym-prepare.service"]


def test_the_documentation_names_every_unit_and_path() -> None:
    text = (local.ROOT / "docs" / "operations.md").read_text("utf-8")
    for word in [*(path.name for path in UNITS), "drshym.target", CHECKOUT, HOME, "/etc/drshym.env"]:
        assert word in text


def verify(folder: Path, analyze: str) -> subprocess.CompletedProcess[str]:
    units = sorted(map(str, folder.iterdir()))
    return subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units, written for this machine."""
    folder = tmp_path / "units"
    folder.mkdir()
    for path in (local.ROOT / "deploy" / "systemd").iterdir():
        (folder / path.name).write_text(on_this_machine(path.read_text(), tmp_path / "home"))
    return folder


@pytest.mark.system
def test_systemd_accepts_the_units(installed: Path, system_tool: Callable[[str], str]) -> None:
    result = verify(installed, system_tool("systemd-analyze"))
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.system
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("OOMPolicy=continue", "OOMPolcy=continue"),
        ("ExecStart=/", "ExecStart=/no/such"),
        ("RestartSec=10", "RestartSec=x"),
    ],
)
def test_systemd_refuses_a_unit_with_a_fault(
    old: str, new: str, installed: Path, system_tool: Callable[[str], str]
) -> None:
    path = installed / "drshym-daemon.service"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    result = verify(installed, system_tool("systemd-analyze"))
    assert "drshym-daemon.service" in result.stderr


@pytest.mark.system
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_calls_the_exposure_of_a_unit_small(
    path: Path, installed: Path, system_tool: Callable[[str], str]
) -> None:
    # Written for the user of the template, because the score is worse for a service that runs as root.
    unit = installed / path.name
    unit.write_text(unit.read_text().replace("User=root", "User=drshym").replace("Group=root", "Group=drshym"))
    analyze = [system_tool("systemd-analyze"), "security", "--offline=true", "--no-pager"]
    result = subprocess.run([*analyze, "--threshold=20", str(unit)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    # Check that the measure can fail.
    unit.write_text(re.sub("^(Protect|Restrict|System|Private|NoNew|Capab).*\n", "", unit.read_text(), flags=re.M))
    assert subprocess.run([*analyze, "--threshold=20", str(unit)], capture_output=True, check=False).returncode != 0


@pytest.mark.system
def test_the_commands_of_the_units_start(installed: Path, tmp_path: Path) -> None:
    """Run what systemd would run, with the environment it would set, after the preparation."""
    home = tmp_path / "home"
    home.mkdir()

    def unit(name: str, port: str = "", free: int = 0) -> tuple[list[str], dict[str, str]]:
        text = (installed / f"{name}.service").read_text()
        words = [str(free) if word == port else word for word in command(text)]
        return words, environment(text)

    words, variables = unit("drshym-prepare")
    subprocess.run(words, env=variables, cwd=local.ROOT, check=True)
    ports = [local.free_port(), local.free_port()]
    pages = {"drshym-webserver": "server_info", "drshym-mlflow": "health"}
    with ExitStack() as running:
        for name, port, free in [
            ("drshym-daemon", "", 0),
            ("drshym-webserver", "3000", ports[0]),
            ("drshym-mlflow", "5000", ports[1]),
        ]:
            words, variables = unit(name, port, free)
            log = ServiceLog(tmp_path / "logs", name)
            service = Service(name, words, folder=local.ROOT, environment=variables, log=log)
            running.callback(service.stop)
            if name in pages:
                local.wait_for(service, f"http://{local.HOST}:{free}/{pages[name]}")
            else:
                with local.open_instance(home) as instance:
                    local.wait_for_daemon(service, instance, since=0.0)
