"""The command `serve`: who may be served, which settings it uses, and what it says when it cannot start."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.cli import main
from drshym_pipeline.commands.serving import address_text, check_access, listen, read_token, service_settings
from drshym_pipeline.errors import InputError
from drshym_pipeline.locking import alone_in
from drshym_pipeline.model.bundle import WEIGHTS_FILE
from drshym_pipeline.model.choice import choose_model
from drshym_pipeline.service.jobs import JobSpec, JobStore

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "maps.example"])
def test_an_address_that_others_can_reach_needs_a_token(host, capsys):
    assert main(["serve", "--host", host, "--port", "0"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert host in message
    assert "DRSHYM_SERVICE_TOKEN" in message
    assert "TLS" in message


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
    with pytest.raises(InputError, match="none: the file does not exist"):
        read_token(tmp_path / "none")
    with pytest.raises(InputError, match="cannot be read"):
        read_token(tmp_path)
    file.write_text("short\n")
    with pytest.raises(InputError) as refused:
        read_token(file)
    assert str(refused.value).startswith(f"{file}: the token has fewer than 16 characters")


def test_a_variable_that_no_setting_has_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("DRSHYM_SERVICE_QUOTA_BYTE", "5")
    assert main(["serve", "--port", "0"]) == 2
    assert capsys.readouterr().err == (
        "error: DRSHYM_SERVICE_QUOTA_BYTE: no setting of the service has this name. "
        "Did you mean DRSHYM_SERVICE_QUOTA_BYTES?\n"
    )
    monkeypatch.delenv("DRSHYM_SERVICE_QUOTA_BYTE")
    monkeypatch.setenv("DRSHYM_SERVICE_X", "5")
    assert main(["serve", "--port", "0"]) == 2
    assert "Read the settings in docs/service.md" in capsys.readouterr().err


def test_the_defaults_are_in_the_home_folder(home, tmp_path, monkeypatch):
    settings = service_settings({})
    assert settings.root == home / "service"
    assert settings.store is None
    (home / "store").mkdir(parents=True)
    assert service_settings({}).store == home / "store"
    monkeypatch.setenv("DRSHYM_SERVICE_ROOT", str(tmp_path / "elsewhere"))
    assert service_settings({}).root == tmp_path / "elsewhere"
    assert service_settings({"root": tmp_path / "given"}).root == tmp_path / "given"


@pytest.mark.parametrize("form", ["{0}", "{0}:{1}", '["{0}"]', '["{0}", "{1}"]'])
def test_folders_come_from_the_environment_too(form, tmp_path, monkeypatch):
    folders = (tmp_path / "one", tmp_path / "two")
    for folder in folders:
        folder.mkdir()
    monkeypatch.setenv("DRSHYM_SERVICE_INPUT_ROOTS", form.format(*folders))
    assert service_settings({}).input_roots == folders[: form.count("{")]


@pytest.mark.parametrize("name", ["INPUT_ROOTS", "STORE"])
def test_a_folder_of_the_environment_that_does_not_exist_is_named_by_its_variable(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(f"DRSHYM_SERVICE_{name}", str(tmp_path / "none"))
    assert main(["serve", "--port", "0"]) == 2
    assert capsys.readouterr().err.startswith(f"error: DRSHYM_SERVICE_{name}: {tmp_path / 'none'} is not a folder.")


@pytest.mark.parametrize("name", ["HOSTS", "PROXIES"])
@pytest.mark.parametrize("text", ["10.0.0.1,10.0.0.2", "10.0.0.1, 10.0.0.2,", '["10.0.0.1", "10.0.0.2"]'])
def test_several_names_have_a_comma_between_them(name, text, monkeypatch):
    monkeypatch.setenv(f"DRSHYM_SERVICE_{name}", text)
    assert getattr(service_settings({}), name.lower()) == ("10.0.0.1", "10.0.0.2")


def test_no_value_is_an_empty_list(monkeypatch):
    monkeypatch.setenv("DRSHYM_SERVICE_HOSTS", "")
    assert service_settings({}).hosts == ()


@pytest.mark.parametrize(("name", "form"), [("INPUT_ROOTS", "A:B"), ("HOSTS", "A,B"), ("PROXIES", "A,B")])
@pytest.mark.parametrize("text", ['["/data"', "[1]", "[/data]"])
def test_a_list_that_cannot_be_read_is_refused_with_its_form(name, form, text, monkeypatch, capsys):
    monkeypatch.setenv(f"DRSHYM_SERVICE_{name}", text)
    assert main(["serve", "--port", "0"]) == 2
    printed = capsys.readouterr()
    assert printed.err == (
        f'error: DRSHYM_SERVICE_{name}: must have the form {form} or ["A", "B"]. Correct the value.\n'
    )
    assert printed.out == ""


@pytest.mark.parametrize("option", ["--input-root", "--store", "--ancillary"])
def test_a_folder_that_does_not_exist_is_named(option, tmp_path, capsys):
    assert main(["serve", option, str(tmp_path / "none"), "--port", "0"]) == 2
    message = capsys.readouterr().err
    assert option in message
    assert str(tmp_path / "none") in message


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


def refusal(capsys, root: Path, *options: str) -> str:
    """Start a service that cannot start, and return the one line that it prints."""
    assert main(["serve", "--root", str(root), "--port", "0", *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == "", "nothing says that the service listens"
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    return printed.err.removeprefix("error: ").rstrip("\n")


def damaged(folder: Path, random_bundle) -> Path:
    path = Path(random_bundle.save(folder / "damaged"))
    weights = path / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    return path


@pytest.mark.parametrize("kind", ["missing", "damaged"])
def test_a_model_that_cannot_be_loaded_is_refused_before_the_service_listens(kind, tmp_path, random_bundle, capsys):
    checkpoint = tmp_path / "none" if kind == "missing" else damaged(tmp_path, random_bundle)
    with pytest.raises(InputError) as refused:
        choose_model(checkpoint)
    assert refusal(capsys, tmp_path / "root", "--checkpoint", str(checkpoint)) == str(refused.value)
    assert not (tmp_path / "root").exists()


def test_a_root_that_is_a_file_is_refused(tmp_path, capsys):
    root = tmp_path / "root"
    root.write_text("a file")
    assert refusal(capsys, root).startswith(f"{root}: is a file, or below a file, and not a folder")


def test_a_second_service_in_a_folder_is_refused(tmp_path, capsys):
    with alone_in(tmp_path, "drshym serve, process 1,"):
        assert refusal(capsys, tmp_path).startswith(f"{tmp_path}: drshym serve, process 1, works in it now")


def test_a_damaged_list_of_jobs_is_refused(tmp_path, capsys):
    (tmp_path / "jobs.sqlite").write_bytes(b"no database, but longer than its header " * 100)
    assert refusal(capsys, tmp_path).startswith(f"{tmp_path / 'jobs.sqlite'}: is not a list of jobs")


def test_a_job_that_cannot_be_read_is_refused(tmp_path, capsys):
    store = JobStore(tmp_path / "jobs.sqlite")
    store.add(JobSpec(scene_name="x", sources=(Path("x.tif"),), identity="0" * 64, out=tmp_path / "scenes" / "x" / "1"))
    store._database.execute("UPDATE jobs SET record = '{}'")
    store.close()
    assert refusal(capsys, tmp_path).startswith(f"{tmp_path / 'jobs.sqlite'}: has a job that cannot be read")


def test_a_service_that_cannot_listen_leaves_its_folder_free(tmp_path, capsys):
    with listen("127.0.0.1", 0) as taken:
        message = refusal(capsys, tmp_path, "--port", str(taken.getsockname()[1]))
    assert "the service cannot listen there" in message
    with alone_in(tmp_path, "another"):
        pass
