"""The output of `segment` and `predict-folder` about the model and the scenes: text, JSON and exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from docs.schemas.__main__ import schema
from drshym_pipeline import mapping
from drshym_pipeline.cli import main
from drshym_pipeline.model.bundle import SHIPPED_NAME
from drshym_pipeline.model.service_record import write_in_service
from drshym_pipeline.records import MapRecord

SMALL = ["--tile", "64", "--overlap", "8"]


@pytest.fixture
def run(capfd, tmp_path):
    """A function that runs a command with `--json` and returns exit code, the document and stderr."""

    def run(*arguments):
        capfd.readouterr()
        code = main([*map(str, arguments), "--json"])
        printed = capfd.readouterr()
        document = json.loads(printed.out)
        jsonschema.validate(document, schema("mapping_document-0.1.json"))
        assert document["exit_code"] == code
        return code, document, printed.err

    return run


def states(document) -> dict[str, str]:
    return {scene["record"]["scene_id"]: scene["state"] for scene in document["maps"]}


def test_all_scenes_mapped_is_exit_code_0_and_a_scene_without_observation_has_its_own_state(
    run, tmp_path, scenes, checkpoint
):
    out = tmp_path / "out"
    good, empty = scenes / "good.tif", scenes / "empty.tif"
    code, document, err = run("segment", good, empty, "--out", out, "--checkpoint", checkpoint, *SMALL)
    assert code == 0
    assert states(document) == {"good": "mapped", "empty": "nothing_observed"}
    assert document["command"] == "segment"
    assert document["failures"] == []
    assert err.splitlines() == [line for line in err.splitlines() if line.startswith("model: ")]
    for scene in document["maps"]:
        folder = Path(scene["folder"])
        assert folder.is_absolute()
        assert all((folder / name).is_file() for name in scene["record"]["files"].values())
        written = (folder / scene["record"]["files"]["record"]).read_text()
        assert MapRecord.model_validate_json(written) == MapRecord.model_validate(scene["record"])


def test_a_scene_without_observation_is_marked_in_the_table(capfd, tmp_path, scenes, checkpoint):
    command = ["segment", scenes / "good.tif", scenes / "empty.tif", "--out", tmp_path / "out"]
    assert main([*map(str, command), "--checkpoint", str(checkpoint), *SMALL]) == 0
    shown = capfd.readouterr().out.splitlines()
    assert shown[0] == "2 of 2 scenes mapped (nothing was observed in 1)"
    rows = {line.split()[0]: line for line in shown[2:4]}
    assert "nothing was observed" in rows["empty"]
    assert "km2" in rows["good"]


@pytest.mark.parametrize("command", ["segment", "predict-folder"])
def test_some_scenes_mapped_is_exit_code_3(run, tmp_path, scenes, checkpoint, command):
    out = tmp_path / "out"
    named = sorted(scenes.iterdir()) if command == "segment" else ["--in", scenes]
    code, document, err = run(command, *named, "--out", out, "--checkpoint", checkpoint, *SMALL)
    assert code == 3
    assert document["command"] == command
    assert states(document) == {"good": "mapped", "empty": "nothing_observed"}
    (failure,) = document["failures"]
    bad = str(scenes / "bad.tif")
    assert failure == {
        "sources": [bad],
        "file": bad,
        "problem": "not a TIFF",
        "remedy": "Give a GeoTIFF with Sentinel-1 backscatter",
        "kind": "input",
    }
    assert f"error: {bad}: not a TIFF. Give a GeoTIFF with Sentinel-1 backscatter." in err.splitlines()


def test_no_scene_mapped_is_exit_code_2_and_nothing_is_left(run, tmp_path, scenes, checkpoint):
    out = tmp_path / "out"
    code, document, _ = run(
        "segment", scenes / "bad.tif", scenes / "gone.tif", "--out", out, "--checkpoint", checkpoint
    )
    assert (code, document["maps"]) == (2, [])
    assert [failure["file"] for failure in document["failures"]] == [
        str(scenes / "bad.tif"),
        str(scenes / "gone.tif"),
    ]
    assert not out.exists()


def interrupted(monkeypatch, error: BaseException, scene: str) -> None:
    """Make a scene end with an error that no file can cause; all others are really mapped."""
    whole = mapping.map_scene

    def map_scene(sources, *arguments, **options):
        if sources[0].stem == scene:
            raise error
        return whole(sources, *arguments, **options)

    monkeypatch.setattr(mapping, "map_scene", map_scene)


def test_a_fault_without_any_map_is_exit_code_1_even_beside_an_unusable_input(
    run, tmp_path, scenes, checkpoint, monkeypatch
):
    interrupted(monkeypatch, OSError(28, "No space left on device"), "good")
    out = tmp_path / "out"
    named = [scenes / "bad.tif", scenes / "good.tif"]
    code, document, err = run("segment", *named, "--out", out, "--checkpoint", checkpoint, *SMALL)
    assert code == 1
    assert [failure["kind"] for failure in document["failures"]] == ["input", "fault"]
    assert document["failures"][1]["problem"] == "OSError: [Errno 28] No space left on device"
    assert "Traceback" in err


def test_a_fault_beside_a_map_is_exit_code_3(run, tmp_path, scenes, checkpoint, monkeypatch):
    interrupted(monkeypatch, MemoryError(), "good")
    out = tmp_path / "out"
    named = [scenes / "good.tif", scenes / "empty.tif"]
    code, document, _ = run("segment", *named, "--out", out, "--checkpoint", checkpoint, *SMALL)
    assert code == 3
    assert states(document) == {"empty": "nothing_observed"}


@pytest.mark.parametrize(
    ("order", "code", "mapped"), [(("good", "empty", "bad"), 1, []), (("empty", "good", "bad"), 3, ["empty"])]
)
def test_a_stopped_command_shows_what_was_mapped_and_what_was_not(
    run, tmp_path, scenes, checkpoint, monkeypatch, order, code, mapped
):
    interrupted(monkeypatch, KeyboardInterrupt(), "good")
    named = [scenes / f"{name}.tif" for name in order]
    found, document, err = run("segment", *named, "--out", tmp_path / "out", "--checkpoint", checkpoint, *SMALL)
    assert found == code
    assert list(states(document)) == mapped
    stopped = order[order.index("good") :]
    assert [failure["file"] for failure in document["failures"]] == [str(scenes / f"{name}.tif") for name in stopped]
    assert {failure["kind"] for failure in document["failures"]} == {"stopped"}
    assert f"error: stopped: {len(stopped)} scenes were not mapped" in err


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["segment"], "SCENE"),
        (["segment", "--vh", "x_vh.tif"], "--vh"),
        (["segment", "good.tif", "empty.tif", "--checkpoint", "nowhere"], "nowhere"),
        (["segment", "good.tif", "empty.tif", "--tile", "64", "--overlap", "64"], "--overlap"),
        (["segment", "good.tif", "empty.tif", "--batch-size", "0"], "--batch-size"),
        (["predict-folder", "--in", "nowhere"], "nowhere"),
    ],
)
def test_an_unusable_option_or_model_is_one_failure_in_the_document(
    run, tmp_path, scenes, monkeypatch, arguments, file
):
    monkeypatch.chdir(scenes)
    code, document, err = run(*arguments, "--out", tmp_path / "out")
    assert code == 2
    assert document["model"] is None
    (failure,) = document["failures"]
    assert (failure["file"], failure["sources"], failure["kind"]) == (file, [], "input")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["segment", "--no-such-option"], ["segment", "x.tif"]])
def test_a_call_that_cannot_be_parsed_prints_no_document(capfd, arguments):
    assert main([*arguments, "--json"]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")


@pytest.mark.parametrize("command", ["segment", "predict-folder"])
def test_the_model_and_the_reason_are_printed_before_a_scene_is_mapped(
    run, tmp_path, scenes, home, checkpoint, random_bundle, monkeypatch, command
):
    events: list[str] = []
    (scenes / "bad.tif").unlink()
    (scenes / "empty.tif").unlink()
    whole = mapping.map_scene

    def map_scene(*arguments, **options):
        events.append("mapped")
        return whole(*arguments, **options)

    monkeypatch.setattr(mapping, "map_scene", map_scene)
    named = [scenes / "good.tif"] if command == "segment" else ["--in", scenes]

    def used(name: str, *options):
        code, document, err = run(command, *named, "--out", tmp_path / name, *SMALL, *options)
        assert code == 0
        model = document["model"]
        assert document["maps"][0]["record"]["model"]["sha256"] == model["sha256"]
        (line,) = (line for line in err.splitlines() if line.startswith("model: "))
        assert line.endswith(f"{model['version']} (sha256 {model['sha256'][:12]}): {model['reason']}") or (
            line == f"model: {model['name']} {model['version']} (sha256 {model['sha256'][:12]}): {model['reason']}"
        )
        return model

    shipped = used("shipped")
    assert (shipped["choice"], shipped["source"]) == ("shipped", "shipped")
    assert str(home / "store") in shipped["reason"]
    assert SHIPPED_NAME in shipped["version"]

    given = used("given", "--checkpoint", checkpoint)
    assert (given["choice"], given["source"]) == ("given", "checkpoint")
    assert str(checkpoint) in given["reason"]

    write_in_service(home / "store", checkpoint, random_bundle.reference("registry"), "a reviewer chose version 3")
    served = used("served")
    assert (served["choice"], served["source"]) == ("in_service", "registry")
    assert "a reviewer chose version 3" in served["reason"]
    assert len(events) == 3


def test_the_line_about_the_model_comes_before_the_work(tmp_path, scenes, checkpoint):
    """Stdout and stderr in one stream, as in a terminal: first the model, then the scene that fails, then nothing."""
    command = [sys.executable, "-m", "drshym_pipeline", "segment", scenes / "bad.tif", "--out", tmp_path / "out"]
    done = subprocess.run(
        [*command, "--checkpoint", checkpoint],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["model", "error"]
