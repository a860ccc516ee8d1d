"""Requests that are generated from the service's own description: no answer is a fault, and each is as described."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.http_service import ExplicitSettings, ask_for, served
from tests.small_scenes import write_lake_scene

# Most requests that are generated for one address. An address with few parameters has fewer different ones.
CASES = "500"


@pytest.mark.system
def test_no_generated_request_is_answered_with_a_fault(tmp_path, random_bundle):
    scene = write_lake_scene(tmp_path / "scenes" / "lake.tif", shape=(64, 64))
    settings = ExplicitSettings(
        root=tmp_path / "root",
        input_roots=(scene.parent,),
        checkpoint=Path(random_bundle.save(tmp_path / "bundle")),
        workers=1,
        rate="1000000/minute",
    )
    with served(settings) as client:
        ask_for(client, str(scene)).raise_for_status()
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file",
            str(Path(__file__).with_name("schemathesis.toml")),
            "run",
            f"{client.base_url}/openapi.json",
            *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"),
            *("--max-examples", CASES, "--seed", "42", "--generation-deterministic", "--no-color"),
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
        assert client.get("/health").status_code == 200
        assert client.get("/ready").status_code == 200
