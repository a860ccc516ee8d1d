"""The `drshym` command as a user sees it: its output, its files and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline import __version__
from drshym_pipeline.cli import main
from drshym_pipeline.commands.exit_codes import EXIT_CODES_HELP, ExitCode
from drshym_pipeline.commands.scene_choice import group_sources
from drshym_pipeline.datasets.sen1floods11 import HAND_FOLDER, HAND_SPLITS, split_file
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.service_record import write_in_service
from drshym_pipeline.records import read_drshym_record
from drshym_pipeline.scene_folder import OPTIONAL_KINDS, PRODUCT_KINDS
from drshym_pipeline.scene_store import SceneStore
from drshym_pipeline.settings import SimulatedData

SMALL = ["--tile", "96", "--overlap", "16"]
HEAVY = ["torch", "rasterio", "lightning", "zarr", "pandas", "scipy", "matplotlib", "pyogrio", "dagster", "mlflow"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, random_bundle) -> Path:
    return random_bundle.save(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DRSHYM_HOME", str(tmp_path / "home"))


@pytest.fixture
def good(tmp_path, scene_file) -> Path:
    return scene_file(tmp_path / "in" / "good.tif", shape=(80, 120))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Path:
    settings = SimulatedData(train=2, valid=3, test=1, hard=0, size=64)
    return write_dataset(tmp_path_factory.mktemp("chips") / "set", settings)


@pytest.fixture
def chips(labelled, tmp_path) -> Path:
    """Labelled chips for one test, which may damage them."""
    return Path(shutil.copytree(labelled, tmp_path / "set"))


@pytest.fixture
def recipe_of(tmp_path):
    """A function that writes a training recipe small enough to run."""

    def write(data: str, training: str = "crop: 32, batch_size: 2", more: str = "") -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(
            "name: tiny\n"
            f"data: {{{data}}}\n"
            f"network: {{encoder: resnet18, stem: half, decoder_channels: [16, 8, 8]{more}}}\n"
            f"training: {{{training}, max_steps: 2, validate_every: 2, warmup_steps: 1}}\n"
        )
        return path

    return write


def left(out: Path) -> list[str]:
    return sorted(path.name for path in out.rglob("*")) if out.exists() else []


def refuses(capfd, arguments, *words, out: Path | None = None) -> str:
    """Check that the command ends with 2, prints one error line with these words, and leaves no file behind."""
    capfd.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    # Commands that map scenes print first which model they use.
    lines = [line for line in printed.err.splitlines() if not line.startswith("model: ")]
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("error: ")
    for word in words:
        assert str(word) in lines[0]
    if out is not None:
        assert left(out) == []
    return lines[0]


@pytest.fixture
def refused(capfd, tmp_path, checkpoint):
    """Segment files that must be refused."""

    def run(*arguments, words):
        out = tmp_path / "out"
        return refuses(
            capfd, ["segment", *SMALL, *arguments, "--out", out, "--checkpoint", checkpoint], *words, out=out
        )

    return run


def test_segment_maps_a_scene_and_prints_its_area_with_an_interval(capfd, tmp_path, good, checkpoint):
    out = tmp_path / "out"
    assert main(["segment", str(good), "--out", str(out), "--checkpoint", str(checkpoint), *SMALL]) == 0
    printed = capfd.readouterr()
    assert [line.split(": ")[0] for line in printed.err.splitlines()] == ["model"]
    row = next(line for line in printed.out.splitlines() if line.startswith("good"))
    assert "90 % interval" in row
    assert str(out / "good_mask.tif") in row
    assert "not separated from permanent water" in printed.out
    assert len(left(out)) == len(PRODUCT_KINDS) - len(OPTIONAL_KINDS)
    with rasterio.open(out / "good_mask.tif") as mask:
        assert mask.shape == (80, 120)


def test_a_pair_can_be_given_by_option_or_by_name(tmp_path, scene_file, checkpoint):
    vv = scene_file(tmp_path / "x_vv.tif", bands=("VV",), shape=(64, 64))
    vh = scene_file(tmp_path / "x_vh.tif", bands=("VH",), shape=(64, 64))
    for number, arguments in enumerate((["--vv", vv, "--vh", vh], [vh, vv])):
        out = tmp_path / f"out{number}"
        command = ["segment", *arguments, "--out", out, "--checkpoint", checkpoint, *SMALL]
        assert main([str(part) for part in command]) == 0
        assert json.loads((out / "x_report.json").read_text())["modality"] == "sentinel1_sar_vv_vh"


def test_files_are_one_scene_only_when_they_differ_by_polarisation_alone():
    files = [Path(name) for name in ("a/x_vv.tif", "b.tif", "a/x_vh.tif", "c/x_vh.tif", "a/y_vv.tif")]
    assert group_sources(files, None, None) == [[files[0], files[2]], [files[1]], [files[3]], [files[4]]]
    with pytest.raises(InputError, match="without --vv"):
        group_sources([], None, Path("x_vh.tif"))


def test_bad_scenes_are_reported_and_the_others_are_mapped(capfd, tmp_path, good, checkpoint, scene_file):
    bad = tmp_path / "in" / "bad.tif"
    bad.write_bytes(b"")
    other = scene_file(tmp_path / "in" / "other.tif", shape=(64, 64), seed=1)
    out = tmp_path / "out"
    command = ["segment", good, bad, other, "--out", out, "--checkpoint", checkpoint, *SMALL]
    assert main([str(part) for part in command]) == 3
    printed = capfd.readouterr()
    assert [line.split(": ")[0] for line in printed.err.splitlines()] == ["model", "error"]
    assert "bad.tif" in printed.err
    assert {name.split("_")[0] for name in left(out)} == {"good", "other"}


def test_a_scene_without_georeference_is_refused(refused, tmp_path, scene_file):
    path = scene_file(tmp_path / "nowhere.tif", crs=None, shape=(64, 64))
    refused(path, words=[path, "no CRS", "Georeference"])


def test_a_scene_without_vv_is_refused(refused, tmp_path, scene_file):
    path = scene_file(tmp_path / "x_vh.tif", bands=("VH",), shape=(64, 64))
    refused(path, words=[path, "VV"])


def test_a_file_that_is_not_a_tiff_is_refused(refused, tmp_path):
    path = tmp_path / "text.tif"
    path.write_text("this is no raster\n" * 40)
    refused(path, words=[path, "not a TIFF"])


def test_an_empty_file_is_refused(refused, tmp_path):
    path = tmp_path / "empty.tif"
    path.write_bytes(b"")
    refused(path, words=[path, "empty"])


def test_a_missing_file_is_refused(refused, tmp_path):
    refused(tmp_path / "gone.tif", words=["gone.tif", "does not exist"])


@pytest.mark.parametrize("percent", [0.1, 1, 10, 50, 90, 99.9])
def test_a_truncated_scene_is_refused(refused, tmp_path, scene_file, percent):
    whole = scene_file(tmp_path / "whole.tif").read_bytes()
    path = tmp_path / "cut.tif"
    path.write_bytes(whole[: int(len(whole) * percent / 100)])
    refused(path, words=[path])


def test_units_that_cannot_be_recognised_are_refused(refused, tmp_path, scene_file):
    path = scene_file(tmp_path / "odd.tif", shape=(64, 64))
    with rasterio.open(path, "r+") as target:
        target.write(np.random.default_rng(0).normal(-3e6, 10, (2, 64, 64)).astype(np.float32))
    refused(path, words=[path, "units"])


def test_an_overlap_as_large_as_the_tile_is_refused(refused, good):
    refused(good, "--tile", "64", "--overlap", "64", words=["overlap", "smaller than the tile"])


def test_an_empty_batch_is_refused(refused, good):
    refused(good, "--batch-size", "0", words=["batch-size"])


def test_unknown_units_on_the_command_line_are_refused(refused, good):
    refused(good, "--units", "bel", words=["--units", "'bel'"])


def test_no_scene_at_all_is_refused(refused):
    refused(words=["SCENE"])


@pytest.mark.parametrize("name", ["file", "file/below"])
@pytest.mark.parametrize("command", ["segment", "simulate", "simulate chips", "train", "evaluate", "tile", "convert"])
def test_an_output_folder_that_is_a_file_is_refused(capfd, tmp_path, good, checkpoint, chips, recipe_of, command, name):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "old.pt").write_bytes(b"")
    out = tmp_path / name
    arguments = {
        "segment": ["segment", good, "--checkpoint", checkpoint],
        "simulate": ["simulate", "--size", "64"],
        "simulate chips": ["simulate", "--kind", "chips", "--size", "64"],
        "train": ["train", "--config", recipe_of("simulated: {size: 64}")],
        "evaluate": ["evaluate", "--data", chips, "--checkpoint", checkpoint],
        "tile": ["tile", good],
        "convert": ["convert-checkpoint", tmp_path / "old.pt"],
    }[command]
    refuses(capfd, [*arguments, "--out", out], out)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_pickle_is_refused_as_a_checkpoint(capfd, tmp_path, good):
    path = tmp_path / "best.pt"
    path.write_bytes(b"\x80\x04.")
    refuses(
        capfd,
        ["segment", good, "--out", tmp_path / "out", "--checkpoint", path],
        path,
        "convert-checkpoint",
        out=tmp_path / "out",
    )


def test_training_with_an_unknown_encoder_is_refused_before_anything_is_written(capfd, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("network:\n  encoder: resnet81\n")
    refuses(capfd, ["train", "--config", recipe, "--out", tmp_path / "out"], "resnet81", out=tmp_path / "out")


def test_training_with_an_unknown_key_is_refused(capfd, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("training:\n  learning_rat: 0.1\n")
    refuses(
        capfd,
        ["train", "--config", recipe, "--out", tmp_path / "out"],
        recipe,
        "training.learning_rat",
        "learning_rate",
        out=tmp_path / "out",
    )


def test_training_without_its_recipe_is_refused(capfd, tmp_path):
    refuses(capfd, ["train", "--config", tmp_path / "gone.yaml"], "gone.yaml")


def test_tile_writes_chips_with_their_records(capfd, tmp_path, good):
    out = tmp_path / "chips"
    assert main(["tile", str(good), "--out", str(out), "--tile", "64", "--overlap", "8"]) == 0
    chips = sorted(out.glob("*.tif"))
    assert len(chips) == 4
    records = [path.with_suffix(".json") for path in chips]
    assert sorted(out.glob("*.json")) == sorted([*records, out / "good_meta.json"])
    with rasterio.open(good) as source:
        for chip in chips:
            record = read_drshym_record(chip.with_suffix(".json").read_text())
            window = record.window
            with rasterio.open(chip) as tile:
                assert tuple(tile.bounds) == record.bounds
                assert tile.crs == source.crs
                np.testing.assert_array_equal(
                    tile.read(1),
                    source.read(1)[window.row : window.row + window.height, window.col : window.col + window.width],
                )


def test_tile_leaves_nothing_of_a_bad_scene_and_does_not_touch_a_full_folder(capfd, tmp_path, good):
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"")
    refuses(capfd, ["tile", bad, "--out", tmp_path / "chips"], bad, out=tmp_path / "chips")
    refuses(capfd, ["tile", good, "--out", tmp_path / "in"], "not empty")


def test_simulate_writes_a_scene_that_can_be_mapped(capfd, tmp_path, checkpoint):
    assert main(["simulate", "--out", str(tmp_path / "sim"), "--seed", "5", "--size", "96"]) == 0
    scene = capfd.readouterr().out.strip()
    command = ["segment", scene, "--out", str(tmp_path / "out"), "--checkpoint", str(checkpoint), *SMALL]
    assert main(command) == 0


def test_the_model_in_service_is_used_and_status_marks_maps_of_others(capfd, tmp_path, good, checkpoint, random_bundle):
    from drshym_pipeline import stages

    store = tmp_path / "home" / "store"
    reference = random_bundle.reference("registry")
    write_in_service(store, checkpoint, reference, "for a test")
    assert main(["segment", str(good), "--out", str(tmp_path / "out"), *SMALL]) == 0
    report = json.loads((tmp_path / "out" / "good_report.json").read_text())
    assert report["model"] == reference.model_dump()
    capfd.readouterr()

    assert main(["status"]) == 0
    assert "no scene is mapped" in capfd.readouterr().out
    for name, used in (("good", reference), ("older", reference.model_copy(update={"sha256": "2" * 64}))):
        folder = stages.stage([good], store / "scenes", scene_id=name)
        predicted = stages.predict(stages.write_tiles(folder, tile=96, overlap=16), random_bundle, used)
        SceneStore(store).set_current(name, stages.report(stages.stitch(predicted)), None)
    assert main(["status"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert any(reference.sha256[:12] in line for line in lines)
    assert "2 scenes, 1 outdated, 0 waiting, 0 failed" in "\n".join(lines)
    assert next(line for line in lines if line.startswith("good")).count("current") == 1
    assert next(line for line in lines if line.startswith("older")).count("outdated") == 1


def spoil_label(chips: Path, split: str) -> tuple[Path, Path]:
    """Cut a row off the label of the first chip of a split; return the label and its image."""
    listed = (chips / HAND_SPLITS / split_file(split)).read_text().splitlines()[0]
    image, label = (
        chips / HAND_FOLDER / folder / name
        for folder, name in zip(("S1Hand", "LabelHand"), listed.split(","), strict=True)
    )
    with rasterio.open(label) as source:
        profile, values = source.profile, source.read()
    with rasterio.open(label, "w", **{**profile, "height": values.shape[1] - 1}) as target:
        target.write(values[:, :-1])
    return label, image


@pytest.mark.parametrize("split", ["train", "valid"])
def test_training_on_labels_of_another_shape_than_the_image_is_refused_and_can_be_corrected(
    capfd, tmp_path, chips, labelled, recipe_of, split
):
    label, image = spoil_label(chips, split)
    recipe = recipe_of(f"kind: sen1floods11, root: {chips}")
    out = tmp_path / "deep" / "out"
    refuses(capfd, ["train", "--config", recipe, "--out", out], label, image, "63 x 64", "64 x 64")
    assert not (tmp_path / "deep").exists()
    shutil.copyfile(labelled / label.relative_to(chips), label)
    assert main(["train", "--config", str(recipe), "--out", str(out)]) == 0


def test_scoring_labels_of_another_shape_than_the_image_is_refused(capfd, tmp_path, chips, checkpoint):
    label, image = spoil_label(chips, "test")
    out = tmp_path / "out"
    command = ["evaluate", "--data", chips, "--checkpoint", checkpoint, "--out", out]
    refuses(capfd, command, label, image, "63 x 64", "64 x 64")
    assert not out.exists()


@pytest.mark.parametrize(
    ("training", "more", "word"),
    [
        ("crop: 50, batch_size: 2", "", "training.crop"),
        ("crop: 32, batch_size: 1", "", "training.batch_size"),
        ("crop: 32, batch_size: 2", ", start: nowhere", "nowhere"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused_before_data_is_simulated(
    capfd, tmp_path, recipe_of, training, more, word
):
    recipe = recipe_of("simulated: {size: 64}", training, more)
    refuses(capfd, ["train", "--config", recipe, "--out", tmp_path / "out"], word)
    assert not (tmp_path / "out").exists()


def test_a_folder_is_refused_as_a_recipe(capfd, tmp_path):
    refuses(capfd, ["train", "--config", tmp_path, "--out", tmp_path / "out"], tmp_path, "cannot be read")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("variable", "value"), [("DRSHYM_TILE", "x"), ("DRSHYM_OVERLAP", "9999"), ("DRSHYM_SCENES_PER_TICK", "0")]
)
@pytest.mark.parametrize("command", ["status", "segment"])
def test_a_bad_environment_is_refused(capfd, tmp_path, monkeypatch, good, variable, value, command):
    monkeypatch.setenv(variable, value)
    out = tmp_path / "out"
    refuses(capfd, ["status"] if command == "status" else ["segment", good, "--out", out], variable, value, out=out)


def test_a_model_trained_by_the_command_is_scored_and_maps(capfd, tmp_path, good, recipe_of):
    recipe = recipe_of("simulated: {train: 2, valid: 3, test: 1, hard: 0, size: 64}")
    run = tmp_path / "run"
    assert main(["train", "--config", str(recipe), "--out", str(run)]) == 0
    assert str(run / "bundle") in capfd.readouterr().out
    (data,) = (run / "data").iterdir()
    bundle = ["--checkpoint", str(run / "bundle")]
    assert main(["evaluate", *bundle, "--data", str(data), "--out", str(run / "scores")]) == 0
    assert "IoU" in capfd.readouterr().out
    assert json.loads((run / "scores" / "evaluation.json").read_text())["model"]["name"] == "tiny"
    assert main(["segment", str(good), "--out", str(tmp_path / "out"), *bundle, *SMALL]) == 0


def test_a_missing_split_is_refused(capfd, tmp_path, checkpoint):
    refuses(capfd, ["evaluate", "--checkpoint", checkpoint, "--data", tmp_path / "none"], tmp_path / "none")


def test_a_checkpoint_of_the_original_is_converted_but_never_into_a_full_folder(capfd, tmp_path, good, random_bundle):
    import torch

    source, out = tmp_path / "best.pt", tmp_path / "bundle"
    torch.save(random_bundle.state(), source)
    assert main(["convert-checkpoint", str(source), "--out", str(out), "--bands", "vv_vh", "--name", "old"]) == 0
    assert main(["segment", str(good), "--out", str(tmp_path / "out"), "--checkpoint", str(out), *SMALL]) == 0
    report = json.loads((tmp_path / "out" / "good_report.json").read_text())
    assert report["model"]["name"] == "old"
    assert report["flooded"]["high_km2"] == report["observed_km2"], "nothing is known about its errors"
    refuses(capfd, ["convert-checkpoint", source, "--out", good.parent], good.parent, "not empty")
    assert good.is_file()


@pytest.mark.parametrize("arguments", [["bogus"], ["segment", "--tile", "x"], ["train"], ["--no-such-option"]])
def test_a_wrong_call_is_reported_in_one_line(capfd, arguments):
    refuses(capfd, arguments)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["segmen"], "'segment'"),
        (["predict_foldr"], "'predict-folder'"),
        (["segment", "x.tif", "--out", "maps", "--chekpoint", "y"], "'--checkpoint'"),
        (["segment", "x.tif", "--uot", "maps"], "'--out'"),
        (["train", "--config", "training: {learning_rat: 0.1}"], "'learning_rate'"),
        (["train", "--config", "network: {encoder: resnet81}"], "resnet18"),
    ],
)
def test_the_nearest_name_is_suggested_once_and_as_a_question(capfd, tmp_path, arguments, meant):
    if arguments[0] == "train":
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(arguments[-1])
        arguments = [*arguments[:-1], recipe]
    line = refuses(capfd, arguments, meant)
    assert line.count("id you mean") == 1
    assert line.count("?") == 1
    assert line.rstrip(")").endswith("?")


def test_the_version_is_shown(capfd):
    assert main(["--version"]) == 0
    assert capfd.readouterr().out == f"drshym {__version__}\n"


@pytest.mark.parametrize("module", ["drshym_pipeline", "drshym_pipeline.cli"])
def test_the_command_can_be_run_as_a_module(module):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False, timeout=120
        )

    assert run("--version").stdout == f"drshym {__version__}\n"
    assert "Usage: drshym segment" in run("segment", "--help").stdout
    refused = run("segment", "--no-such-option")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_and_options_are_completed_in_every_shell_without_a_heavy_import(shell):
    code = (
        "import atexit, sys\n"
        f"heavy = {HEAVY!r}\n"
        "atexit.register(lambda: print([name for name in heavy if name in sys.modules], file=sys.stderr))\n"
        "from drshym_pipeline.cli import main\n"
        "main([])\n"
    )

    def complete(line: str) -> str:
        request = {
            "_DRSHYM_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - 1),
        }
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **request},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.stderr.strip() == "[]"
        return done.stdout

    commands, options = complete("drshym s"), complete("drshym segment --over")
    assert all(name in commands for name in ("segment", "simulate", "status"))
    assert "predict-folder" not in commands
    assert "--overlap" in options
    assert "--units" not in options


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        ("bash", "complete -o default -F _drshym_completion drshym"),
        ("zsh", "#compdef drshym"),
        ("fish", "complete --command drshym"),
    ],
)
def test_the_script_of_each_shell_can_be_shown(shell, expected):
    # Which shell runs the tests must not matter: with this variable the option accepts the name of a shell.
    done = subprocess.run(
        [sys.executable, "-m", "drshym_pipeline", "--show-completion", shell],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in done.stdout


def test_completion_is_installed_for_the_current_shell(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "drshym_pipeline", "--install-completion", "bash"],
        env={**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    script = tmp_path / ".bash_completions" / "drshym.sh"
    assert str(script) in done.stdout
    assert "_drshym_completion" in script.read_text()
    assert str(script) in (tmp_path / ".bashrc").read_text()


@pytest.mark.parametrize("arguments", [["--help"], ["segment", "--help"], ["predict-folder", "--help"]])
def test_help_names_every_exit_code(capfd, arguments):
    assert main(arguments) == 0
    shown = " ".join(capfd.readouterr().out.split())
    assert EXIT_CODES_HELP in shown
    assert all(f"{code.value} " in EXIT_CODES_HELP for code in ExitCode)


def test_the_command_without_arguments_shows_its_help(capfd):
    assert main([]) == 2
    assert "segment" in capfd.readouterr().out


def test_help_loads_none_of_the_heavy_libraries():
    code = (
        "import sys\n"
        "from drshym_pipeline.cli import main\n"
        "assert main(['segment', '--help']) == 0\n"
        f"heavy = {HEAVY!r}\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"
    assert "--overlap" in done.stdout


def test_the_installed_command_ends_with_the_exit_code_of_an_input_error(tmp_path):
    done = subprocess.run(
        [Path(sys.executable).parent / "drshym", "train", "--config", tmp_path / "gone.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_terminated_command_ends_like_an_interrupted_one(monkeypatch, capfd):
    def terminated(**_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("drshym_pipeline.cli.app", terminated)
    assert main(["status"]) == ExitCode.FAULT
    assert capfd.readouterr().err == "error: stopped\n"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("scene", [".", ""])
def test_a_folder_without_a_name_of_its_own_is_refused_as_a_folder(tmp_path, monkeypatch, capfd, checkpoint, scene):
    monkeypatch.chdir(tmp_path)
    assert main(["segment", scene, "--out", str(tmp_path / "out"), "--checkpoint", str(checkpoint)]) == ExitCode.INPUT
    assert "not a regular file" in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["mask", "proba"])
def test_a_map_of_this_program_is_refused_as_a_scene(tmp_path, capfd, checkpoint, good, kind):
    out = tmp_path / "maps"
    assert main(["segment", str(good), "--out", str(out), "--checkpoint", str(checkpoint), *SMALL]) == 0
    product = shutil.move(out / f"good_{kind}.tif", tmp_path / "renamed.tif")
    command = ["segment", str(product), "--out", str(tmp_path / "again"), "--checkpoint", str(checkpoint), *SMALL]
    assert main([*command, "--units", "dn"]) == ExitCode.INPUT
    assert "renamed.tif: is a map that this program wrote, not a scene" in capfd.readouterr().err


def test_a_scene_that_cannot_be_read_stops_no_other(tmp_path, capfd, checkpoint, good, monkeypatch):
    other = tmp_path / "in" / "locked.tif"
    shutil.copy(good, other)
    monkeypatch.setattr(os, "access", lambda path, *_: Path(path) != other)  # what the option parser asks
    command = [
        "segment",
        str(other),
        str(good),
        "--out",
        str(tmp_path / "out"),
        "--checkpoint",
        str(checkpoint),
        *SMALL,
    ]
    assert main(command) == 0
    assert "is not readable" not in capfd.readouterr().err
