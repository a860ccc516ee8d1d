"""The Dockerfile, the compose file and the lock files: what they promise about safety and about versions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from drshym_pipeline.service.access import is_loopback
from drshym_pipeline.service.settings import ServiceSettings
from resources.no_telemetry import SWITCHES
from tests.test_layers import LOCATION, ROOT, modules_imported, python_files

LOCKS = ROOT / "requirements"
HASHED = ["packages.txt", "torch-cuda.txt", "build.txt"]
ALL_FILES = [ROOT / "Dockerfile", ROOT / "docker-compose.yml", *sorted(LOCKS.glob("*"))]
STATED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)", re.MULTILINE)


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, with the lines of each joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def final_stage() -> list[tuple[str, str]]:
    found = instructions()
    last = max(place for place, (word, _) in enumerate(found) if word == "FROM")
    return found[last:]


def environment() -> dict[str, str]:
    """The variables that the image sets."""
    found: dict[str, str] = {}
    for word, rest in final_stage():
        if word == "ENV":
            found |= dict(re.findall(r"(\w+)=('[^']*'|\S+)", rest))
    return {name: value.strip("'") for name, value in found.items()}


def only(word: str) -> str:
    (rest,) = [rest for found, rest in final_stage() if found == word]
    return rest


def services() -> dict[str, dict[str, Any]]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]


def locked(name: str) -> dict[str, Version]:
    text = (LOCKS / name).read_text("utf-8")
    return {canonicalize_name(found["name"]): Version(found["version"]) for found in STATED.finditer(text)}


# --- the lock files --------------------------------------------------------------------------------------------------


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize("build", ["cpu", "cuda"])
def test_every_dependency_is_locked_at_a_version_that_fits(build: str):
    versions = {**locked("packages.txt"), **locked(f"torch-{build}.txt")}
    for text in project()["project"]["dependencies"]:
        requirement = Requirement(text)
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not locked: run python -m deploy.lock"
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}"


def test_the_build_tool_is_locked_at_a_version_that_fits():
    for text in project()["build-system"]["requires"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(locked("build.txt")[canonicalize_name(requirement.name)])


def test_both_builds_have_the_same_torch():
    cuda = locked("torch-cuda.txt")
    assert locked("torch-cpu.txt") == {name: cuda[name] for name in ("torch", "torchvision")}
    # The CPU image has none of the libraries for graphics cards.
    assert not {name for name in locked("packages.txt") if name.startswith(("nvidia", "cuda", "torch", "triton"))} - {
        "torchmetrics"
    }


@pytest.mark.parametrize("name", HASHED)
def test_every_locked_package_has_hashes(name: str):
    blocks = re.split(r"\n(?=[^\s#])", (LOCKS / name).read_text("utf-8"))[1:]
    assert len(blocks) == len(locked(name)) > 0
    for block in blocks:
        assert re.fullmatch(r"[\w.-]+==[\w.+!-]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n?", block), block[:80]


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: path.name)
def test_no_file_names_a_package_index_or_a_path_of_another_machine(path: Path):
    text = path.read_text("utf-8")
    assert not re.findall(r"(?:https?|file)://(?!127\.0\.0\.1)\S+|--(?:extra-)?index-url (?!\"\$\{)\S+", text)
    assert not re.findall(r" @ |/home/|find-links", text)


# --- the image -------------------------------------------------------------------------------------------------------


def test_the_image_does_not_run_as_root_and_starts_the_service():
    users = [(place, rest) for place, (word, rest) in enumerate(final_stage()) if word == "USER"]
    ((place, user),) = users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "a number, so that a cluster can check that it is not root"
    # What runs in the container is after it.
    assert all(word not in ("RUN", "COPY") for word, _ in final_stage()[place:])
    assert {word for word, _ in instructions()} <= {
        "ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD",
    }  # fmt: skip
    assert only("CMD") == '["drshym", "serve"]'
    assert only("EXPOSE") == "8080"


def test_nothing_in_the_image_belongs_to_its_user_but_the_folders_of_state():
    assert not [rest for word, rest in final_stage() if word == "COPY" and "--chown" in rest]
    (run,) = [rest for word, rest in final_stage() if word == "RUN"]
    (folders,) = re.findall(r"install -d -o drshym -g drshym ([^&]+)", run)
    assert folders.split() == ["/data", "/lineage", "/lineage/store", "/lineage/mlflow", "/inbox"]
    assert only("VOLUME") == '["/data"]'


def test_the_base_has_a_version_and_torch_has_no_default_index():
    arguments = [rest for word, rest in instructions() if word == "ARG"]
    assert "TORCH_INDEX" in arguments
    assert "PYTHON_IMAGE=python:3.11-slim-bookworm" in arguments
    stages = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert set(stages) == {"${PYTHON_IMAGE}"}


def test_every_package_is_checked_against_a_hash_or_comes_from_the_index_that_the_user_names():
    installs = [
        part for word, rest in instructions() if word == "RUN" for part in rest.split("&&") if " install " in part
    ]
    pip = [part for part in installs if "pip install" in part]
    assert len(pip) == 4
    for part in pip:
        assert "--no-deps" in part
        checked = "--require-hashes" in part or "--no-index" in part
        assert checked or '--index-url "${TORCH_INDEX}"' in part


def test_no_secret_is_in_the_image():
    for word, rest in instructions():
        if word in ("ARG", "ENV"):
            assert not re.search(r"(TOKEN|PASSWORD|SECRET|CREDENTIAL|API_KEY)\w*", rest, re.IGNORECASE), rest
    assert not [rest for word, rest in instructions() if word == "COPY" and rest.split()[0] in (".", "*")]


def test_telemetry_is_off_and_the_hash_seed_is_fixed():
    found = environment()
    assert {name: found.get(name) for name in SWITCHES} == SWITCHES
    assert found["PYTHONHASHSEED"] == "0"


def test_what_is_copied_exists_and_is_sent_to_the_builder():
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    sources = [
        source.rstrip("/")
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    assert rules[0] == "*"
    for source in sources:
        assert (ROOT / source).exists(), source
        sent = False
        for rule in rules:  # the last rule that fits decides, also one for a folder above
            names = [source, *map(str, Path(source).parents)]
            if any(fnmatch(name, rule.lstrip("!").rstrip("/")) for name in names if name != "."):
                sent = rule.startswith("!")
        assert sent, f"{source} is left out by .dockerignore"


def test_the_image_has_every_module_of_the_code_location():
    copied = {rest.split()[0].rstrip("/") for word, rest in final_stage() if word == "COPY" and "--from" not in rest}
    copied |= {name for _, rest in final_stage() for name in rest.split() if name == "definitions.py"}
    wanted = {
        module.split(".")[0]
        for folder in ("assets", "resources", "sensors", "deploy")
        for path in python_files(folder)
        for module in modules_imported(path)
    }
    for top in wanted & {*LOCATION, "deploy", "demo", "benchmarks", "experiments", "docs", "tests"} - {
        "drshym_pipeline"  # in the wheel
    }:
        assert top in copied or f"{top}.py" in copied, f"{top} is imported by the code location and not in the image"


def test_the_settings_of_the_image_are_those_of_the_service(monkeypatch: pytest.MonkeyPatch):
    prefix = "DRSHYM_SERVICE_"
    given = {name: value for name, value in environment().items() if name.startswith(prefix)}
    given |= {"DRSHYM_SERVICE_TOKEN": "x" * 32}
    assert {name.removeprefix(prefix).lower() for name in given} <= ServiceSettings.model_fields.keys()
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = ServiceSettings()  # type: ignore[call-arg]
    assert settings.root == Path("/data")
    assert settings.store == Path("/lineage/store")
    assert settings.input_roots == (Path("/inbox"),)
    assert settings.port == 8080
    # So the command refuses to start without a token.
    assert not is_loopback(settings.host)


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (None, False)])
def test_the_health_check_of_the_image_recognises_a_service_that_answers(status: int | None, healthy: bool):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert status is not None
            self.send_response(status if self.path == "/ready" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    command = json.loads(only("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "python"
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        if status is not None:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        else:
            server.server_close()
        variables = {**os.environ, "DRSHYM_SERVICE_PORT": str(server.server_port)}
        done = subprocess.run([sys.executable, *command[1:]], env=variables, capture_output=True, check=False)
        if status is not None:
            server.shutdown()
    assert (done.returncode == 0) is healthy


# --- the compose file ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["service", "prepare", "daemon", "webserver", "mlflow"])
def test_every_container_has_few_rights_and_limits(name: str):
    found = services()[name]
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert any(entry.startswith("/tmp") for entry in found["tmpfs"])
    assert {"mem_limit", "cpus", "pids_limit"} <= found.keys()
    assert not {"privileged", "cap_add", "user", "devices", "ipc"} & found.keys()
    assert not [volume for volume in found["volumes"] if "docker.sock" in volume]


def test_there_are_no_other_containers():
    assert {name: found.get("profiles", []) for name, found in services().items()} == {
        "service": [],
        "prepare": ["dagster", "mlflow"],
        "daemon": ["dagster"],
        "webserver": ["dagster"],
        "mlflow": ["mlflow"],
    }


def test_only_this_machine_reaches_a_port_by_default():
    ports = [port for found in services().values() for port in found.get("ports", [])]
    assert sorted(ports) == [
        "${DRSHYM_PUBLISH:-127.0.0.1:8080}:8080",
        "127.0.0.1:3000:3000",
        "127.0.0.1:5000:5000",
    ]
    # Containers that need no login are not in one network with the service.
    networks = {name: set(found.get("networks", [])) for name, found in services().items()}
    assert not networks["service"] & (networks["daemon"] | networks["webserver"] | networks["mlflow"])


def test_the_service_needs_a_token_from_the_environment():
    token = services()["service"]["environment"]["DRSHYM_SERVICE_TOKEN"]
    assert re.fullmatch(r"\$\{DRSHYM_SERVICE_TOKEN:\?.+\}", token)
    names = {name for found in services().values() for name in found.get("environment", {})}
    own = {name.removeprefix("DRSHYM_SERVICE_") for name in names if name.startswith("DRSHYM_SERVICE_")}
    assert {name.lower() for name in own} <= ServiceSettings.model_fields.keys()


def test_a_bucket_of_tiles_can_be_used_and_its_copies_can_be_written():
    found = services()["service"]["environment"]
    assert found["DRSHYM_ANCILLARY_CACHE"].startswith("/data/")  # the folder of Dagster is read-only there
    assert "DRSHYM_SERVICE_CHECKPOINT" in found
    wanted = {"DRSHYM_ANCILLARY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"}
    assert wanted <= found.keys()
    assert wanted <= services()["daemon"]["environment"].keys()


def test_the_service_reads_the_maps_of_dagster_and_cannot_change_them():
    volumes = services()["service"]["volumes"]
    assert "service:/data" in volumes
    assert "lineage:/lineage:ro" in volumes
    assert [volume for volume in volumes if volume.endswith(":/inbox:ro")]
    for name in ("prepare", "daemon", "webserver", "mlflow"):
        assert "lineage:/lineage" in services()[name]["volumes"]


def test_every_service_that_runs_for_long_is_checked():
    for name in ("daemon", "webserver", "mlflow"):
        test = services()[name]["healthcheck"]["test"]
        assert test[0] == "CMD"
        assert not {"curl", "wget"} & set(test)
    # That of the image is used.
    assert "healthcheck" not in services()["service"]


def test_the_commands_exist():
    for found in services().values():
        command = found.get("command", ["drshym", "serve"])
        assert (Path(sys.executable).parent / command[0]).exists()


def test_dagster_sees_the_processes_of_its_runs():
    # The launcher compares process ids, so the web server, which ends runs, must share those of the daemon.
    assert services()["webserver"]["pid"] == "service:daemon"
    assert services()["daemon"]["init"] is True
    assert services()["webserver"]["init"] is False


def test_every_variable_and_build_argument_is_documented():
    page = (ROOT / "docs" / "container.md").read_text("utf-8")
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    names = set(re.findall(r"\$\{(\w+)", text)) | {rest.split("=")[0] for word, rest in instructions() if word == "ARG"}
    assert {"DRSHYM_SERVICE_TOKEN", "TORCH_INDEX", "PYTHON_IMAGE", "DRSHYM_PUBLISH"} <= names
    assert not {name for name in names if f"`{name}`" not in page}
    passed_on = services()["service"]["environment"]
    for name in passed_on:
        assert f"`{name}`" in page or f"`{name.removeprefix('DRSHYM_SERVICE')}`" in page, name
    # Each container is in the table.
    assert not {name for name in services() if f"| `{name}` |" not in page}
