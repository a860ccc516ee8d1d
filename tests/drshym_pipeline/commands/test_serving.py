"""The command `serve`: who may be served, which settings it uses, and what it says when it cannot start."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.cli import main
from drshym_pipeline.commands.serving import address_text, check_access, listen, read_token, service_settings
from drshym_pipeline.errors import InputError

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "maps.example"])
def test_an_address_that_others_can_reach_needs_a_token(host, capsys):
    assert main(["serve", "--host", host, "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert host in said
    assert "DRSHYM_SERVICE_TOKEN" in said
    assert "TLS" in said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_the_loopback_address_needs_no_token(host):
    check_access(service_settings({"host": host}))


def test_a_token_opens_other_addresses_and_a_short_one_does_not():
    check_access(service_settings({"host": "0.0.0.0", "token": TOKEN}))
    with pytest.raises(InputError, match="fewer than 16") as refused:
        check_access(service_settings({"host": "0.0.0.0", "token": "short"}))
    assert "short" not in str(refused.value)


def test_a_token_comes_from_a_file_or_from_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file) == TOKEN
    monkeypatch.setenv("DRSHYM_SERVICE_TOKEN", TOKEN)
    settings = service_settings({})
    assert settings.token is not None
    assert settings.token.get_secret_value() == TOKEN
    assert TOKEN not in repr(settings)
    file.write_text("\n")
    with pytest.raises(InputError, match="no token"):
        read_token(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_token(tmp_path / "none")


def test_the_defaults_are_in_the_home_folder(home, tmp_path, monkeypatch):
    settings = service_settings({})
    assert settings.root == home / "service"
    assert settings.store is None
    (home / "store").mkdir(parents=True)
    assert service_settings({}).store == home / "store"
    monkeypatch.setenv("DRSHYM_SERVICE_ROOT", str(tmp_path / "elsewhere"))
    assert service_settings({}).root == tmp_path / "elsewhere"
    assert service_settings({"root": tmp_path / "given"}).root == tmp_path / "given"


def test_folders_come_from_the_environment_too(tmp_path, monkeypatch):
    monkeypatch.setenv("DRSHYM_SERVICE_INPUT_ROOTS", f'["{tmp_path}"]')
    assert service_settings({}).input_roots == (tmp_path,)


@pytest.mark.parametrize("option", ["--input-root", "--store", "--ancillary"])
def test_a_folder_that_does_not_exist_is_named(option, tmp_path, capsys):
    assert main(["serve", option, str(tmp_path / "none"), "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert option in said
    assert str(tmp_path / "none") in said


# A worker that has loaded the network needs more than 1 GiB before its first job.
@pytest.mark.parametrize(("name", "value"), [("QUEUE_LIMIT", "0"), ("WORKER_BYTES", str(1 << 30))])
def test_a_value_out_of_range_is_named_by_its_variable(name, value, monkeypatch, capsys):
    monkeypatch.setenv(f"DRSHYM_SERVICE_{name}", value)
    assert main(["serve", "--port", "0"]) == 2
    assert f"DRSHYM_SERVICE_{name}: " in capsys.readouterr().err


def test_a_port_in_use_is_said_to_be_in_use(capsys):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert address_text(taken) == f"http://127.0.0.1:{port}"
        assert main(["serve", "--port", str(port)]) == 2
    assert f"127.0.0.1:{port}: the service cannot listen there" in capsys.readouterr().err
