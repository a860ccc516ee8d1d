"""What all commands have in common: spelling, `--json`, `--quiet`, `--no-progress`, help and completion."""

from __future__ import annotations

import json
import os
import pty
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import jsonschema
import pytest
import typer

from docs.schemas.__main__ import SCHEMAS, schema
from drshym_pipeline.cli import app, main
from drshym_pipeline.commands.command_line import CommandLine, with_hyphens
from drshym_pipeline.commands.examples import EXAMPLES
from drshym_pipeline.commands.result_documents import DOCUMENTS
from drshym_pipeline.console import note_line, result_line, shown_progress
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.errors import DrShymError, InputError
from drshym_pipeline.settings import SimulatedData

ROOT = Path(__file__).resolve().parents[3]
SMALL = ["--tile", "64", "--overlap", "8"]
PROGRAM = typer.main.get_command(app)
assert isinstance(PROGRAM, click.Group)
COMMANDS = sorted(PROGRAM.commands)


def parsed(command: str, arguments: list[str]) -> dict[str, object]:
    """Return the values of the parameters of a call, without running it."""
    assert isinstance(PROGRAM, click.Group)
    parent = click.Context(PROGRAM, info_name="drshym", token_normalize_func=with_hyphens)
    name, found, rest = PROGRAM.resolve_command(parent, [command, *arguments])
    assert found is not None
    with found.make_context(name, rest, parent=parent) as context:
        return dict(context.params)


# Spelling and help.


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_shows_hyphens_only_and_the_common_options(name, capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main([name, "--help"]) == 0
    shown = capfd.readouterr().out
    assert all(option in shown for option in ("--json", "--quiet", "--no-progress"))
    options = [word for line in shown.split("Examples:")[0].splitlines() for word in line.split() if word[:2] == "--"]
    assert options
    assert not [option for option in options if "_" in option]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_name_may_be_written_with_underscores(name):
    assert isinstance(PROGRAM, click.Group)
    context = click.Context(PROGRAM, info_name="drshym", token_normalize_func=with_hyphens)
    command = PROGRAM.resolve_command(context, [name.replace("-", "_")])[1]
    assert command is PROGRAM.commands[name]
    for parameter in command.params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if option.startswith("--"):
                parser = command.make_parser(click.Context(command, parent=context, info_name=name))
                _, _, found = parser.parse_args([f"--{option[2:].replace('-', '_')}", "1"])
                assert parameter in found


def test_underscores_in_values_stay():
    values = parsed("predict_folder", ["--in_dir", "a_b", "--out_dir=c_d", "--batch_size", "3"])
    assert (str(values["folder"]), str(values["out"]), values["batch_size"]) == ("a_b", "c_d", 3)
    values = parsed("evaluate", ["--data", "x", "--mode", "vv_vh"])
    assert values["mode"] == "vv_vh"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_and_the_parser_takes_them(name, capfd, monkeypatch):
    assert 1 <= len(EXAMPLES[name]) <= 3
    for example in EXAMPLES[name]:
        words = shlex.split(example.partition(" > ")[0])
        assert words[:1] == ["drshym"]
        assert parsed(words[1], words[2:])
        assert with_hyphens(words[1]) == name
    monkeypatch.setenv("COLUMNS", "200")
    assert main([name, "--help"]) == 0
    shown = capfd.readouterr().out
    assert all(example in shown for example in EXAMPLES[name])


def test_recipes_in_the_examples_are_in_the_checkout():
    recipes = {word for lines in EXAMPLES.values() for line in lines for word in line.split() if word.endswith(".yaml")}
    assert recipes
    assert all((ROOT / recipe).is_file() for recipe in recipes)


# A new command gets everything by being registered.


def made_by(function, *arguments: str) -> object:
    line = CommandLine(name="drshym")
    line.command()(function)
    line.command("other")(lambda: None)
    return line(args=[function.__name__, *arguments], prog_name="drshym", standalone_mode=False)


def talkative() -> None:
    with shown_progress("scene") as progress:
        progress.line("a note about the scene")
        for done in range(4):
            progress("describe", done, 3)
    note_line("a note")
    result_line("the result")


@pytest.mark.parametrize(
    ("options", "out", "err"),
    [
        ([], ["the result"], ["scene: a note about the scene", "a note"]),
        (["--no-progress"], ["the result"], ["scene: a note about the scene", "a note"]),
        (["--json"], [], ["scene: a note about the scene", "a note"]),
        (["--quiet"], [], []),
        (["--quiet", "--json"], [], []),
    ],
)
def test_what_a_command_prints(capfd, options, out, err):
    made_by(talkative, *options)
    printed = capfd.readouterr()
    assert (printed.out.splitlines(), printed.err.splitlines()) == (out, err)
    made_by(talkative)  # the choice holds for one command only
    assert "the result" in capfd.readouterr().out


@pytest.mark.parametrize(("options", "has_bars"), [([], True), (["--no-progress"], False), (["--quiet"], False)])
def test_progress_is_shown_in_a_terminal_unless_it_is_not_wanted(options, has_bars):
    code = (
        "from tests.drshym_pipeline.commands.test_command_line import made_by, talkative\n"
        f"made_by(talkative, *{options!r})\n"
    )
    leader, follower = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=follower) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 4096)
            except OSError:  # Linux reports the end of a terminal in this way
                break
            if not part:
                break
            shown += part
    os.close(leader)
    assert process.returncode == 0
    assert ("reading the scene" in shown.decode()) == has_bars
    assert ("a note" in shown.decode()) == (options != ["--quiet"])


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [(InputError("x.tif", "is bad", "Use another"), 2, "input"), (DrShymError("The disk is full."), 1, "fault")],
)
def test_a_refusal_is_a_document_too(capfd, error, code, kind):
    def failing() -> None:
        raise error

    with pytest.raises(type(error)):
        made_by(failing, "--json")
    document = json.loads(capfd.readouterr().out)
    assert (document["command"], document["exit_code"], document["failures"][0]["kind"]) == ("failing", code, kind)


# The document of each command.


@pytest.fixture
def document_of(capfd):
    """A function that runs a command with --json and --quiet and returns the document."""

    def run(*arguments: object, code: int = 0) -> dict[str, object]:
        capfd.readouterr()
        assert main([*map(str, arguments), "--json", "--quiet"]) == code
        printed = capfd.readouterr()
        found: dict[str, object] = json.loads(printed.out)
        jsonschema.validate(found, schema(f"{str(arguments[0]).replace('-', '_')}_document-0.1.json"))
        assert (found["command"], found["exit_code"]) == (arguments[0], code)
        lines = printed.err.splitlines()
        assert [line.startswith("error: ") for line in lines] == [True] * (1 if code else 0), printed.err
        return found

    return run


def test_the_documents_have_published_schemas():
    assert {f"{command.replace('-', '_')}_document-0.1.json" for command in DOCUMENTS} <= SCHEMAS.keys()
    mapped = {"segment", "predict-folder", "export-stitched", "status"}
    # A service runs until it is stopped, so it has no result; a refusal has the document of every command.
    assert {*DOCUMENTS, *mapped} == set(COMMANDS)


def test_simulate_and_tile_name_their_files(document_of, tmp_path):
    made = document_of("simulate", "--out", tmp_path / "scenes", "--size", 96, "--seed", 3)
    (scene,) = made["files"]
    assert Path(scene).is_file()
    chips = document_of("tile", scene, "--out", tmp_path / "chips", *SMALL)
    assert len(list(Path(chips["folder"]).glob("*.tif"))) == chips["chips"] == 4
    assert Path(chips["scene_meta"]).is_file()
    assert document_of("tile", tmp_path / "none.tif", "--out", tmp_path / "more", code=2)["failures"]
    chips = document_of(
        "simulate", "--kind", "chips", "--out", tmp_path / "set", "--size", 64, "--train", 1, "--other", 1
    )
    assert Path(chips["files"][0]).is_dir()


def test_evaluate_and_benchmark_print_their_figures(document_of, tmp_path, checkpoint):
    settings = SimulatedData(train=1, valid=1, test=2, hard=0, size=64)
    chips = write_dataset(tmp_path / "set", settings)
    command = ["--data", chips, "--checkpoint", checkpoint, "--out", tmp_path / "out"]
    found = document_of("evaluate", *command)
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert found["evaluation"] == {name: value for name, value in written.items() if name != "logits"}
    assert all(Path(path).is_file() for path in found["files"])
    found = document_of("benchmark", *command)
    assert found["benchmark"] == json.loads((tmp_path / "out" / "card.json").read_text())
    refused = document_of("evaluate", "--data", tmp_path / "none", "--checkpoint", checkpoint, code=2)
    assert refused["evaluation"] is None


def test_train_convert_and_baseline_name_what_they_made(document_of, tmp_path, random_bundle):
    import torch

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: tiny\ndata: {simulated: {train: 2, valid: 3, test: 1, hard: 0, size: 64}}\n"
        "network: {encoder: resnet18, stem: half, decoder_channels: [16, 8, 8]}\n"
        "training: {crop: 32, batch_size: 2, max_steps: 2, validate_every: 2, warmup_steps: 1}\n"
    )
    found = document_of("train", "--config", recipe, "--out", tmp_path / "run")
    assert found["steps"] == 2
    assert Path(found["model"]["folder"]) == tmp_path / "run" / "bundle"
    assert document_of("train", "--config", tmp_path / "none.yaml", code=2)["model"] is None
    cache = ["--cache", tmp_path / "run" / "data"]
    fitted = document_of("baseline", "--config", recipe, "--out", tmp_path / "pixel.json", *cache)
    assert json.loads((tmp_path / "pixel.json").read_text())["pixels"] == fitted["pixels"]
    torch.save(random_bundle.state(), tmp_path / "best.pt")
    made = document_of("convert-checkpoint", tmp_path / "best.pt", "--out", tmp_path / "old", "--bands", "vv_vh")
    assert made["model"]["calibration"].keys() >= {"vv", "vv_vh"}


def test_a_map_and_the_store_are_quiet_too(capfd, tmp_path, scenes, checkpoint):
    command = ["segment", scenes / "good.tif", "--out", tmp_path / "out", "--checkpoint", checkpoint, *SMALL]
    assert main([*map(str, command), "--quiet"]) == 0
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert main(["status", "--quiet"]) == 0
    assert capfd.readouterr().out == ""
    assert main(["segment", str(scenes / "bad.tif"), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ")


# Completion.


def test_a_real_bash_completes_commands_options_and_values(tmp_path):
    bash = shutil.which("bash")
    assert bash is not None
    program = tmp_path / "drshym"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m drshym_pipeline "$@"\n')
    program.chmod(0o755)
    # What bash does when the user presses Tab: it sets the words, calls the function, and reads COMPREPLY.
    script = """
    source <(drshym completion bash)
    complete -p drshym
    press_tab() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _drshym_completion drshym; echo "${COMPREPLY[*]}"; }
    press_tab drshym exp
    press_tab drshym predict-folder --over
    press_tab drshym segment --precision b
    press_tab drshym export_stitched --scene
    """
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([bash, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "complete -o default -F _drshym_completion drshym",
        "export-stitched",
        "--overlap --overwrite",
        "bf16",
        "--scene-meta",
    ]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_loads_nothing_heavy_and_is_in_the_document(shell, document_of):
    heavy = ["torch", "rasterio", "zarr", "pandas", "scipy", "matplotlib", "dagster", "mlflow"]
    code = (
        "import sys\nfrom drshym_pipeline.cli import main\n"
        f"main(['completion', '{shell}'])\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert f"_DRSHYM_COMPLETE=complete_{shell}" in done.stdout
    assert document_of("completion", shell)["script"].strip() == done.stdout.strip()


def test_an_unknown_shell_is_refused(capfd):
    assert main(["completion", "tcsh"]) == 2
    assert "'tcsh'" in capfd.readouterr().err
