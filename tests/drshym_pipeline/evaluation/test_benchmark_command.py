"""`drshym benchmark`, `drshym baseline` and the log of evaluations, called as a user calls them."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from drshym_pipeline.cli import main
from drshym_pipeline.datasets.sen1floods11 import HAND_FOLDER
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.evaluation_log import COLUMNS, append_log
from drshym_pipeline.evaluation.pixel_classifier import load


@pytest.fixture(scope="module")
def saved(seeds, tmp_path_factory) -> list:
    folder = tmp_path_factory.mktemp("bundles")
    return [bundle.save(folder / bundle.name) for bundle in seeds]


def refused(capfd, arguments, *words) -> None:
    capfd.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    printed = capfd.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert str(word) in line


def test_the_command_writes_the_card_of_all_checkpoints_and_adds_them_to_the_log(
    capfd, tmp_path, simulated_chips, saved
) -> None:
    out, log = tmp_path / "card", tmp_path / "log.csv"
    command = ["benchmark", "--data", simulated_chips, "--split", "test", "--split", "hard", "--mode", "vv_vh",
               "--checkpoint", saved[0], "--checkpoint", saved[1], "--compare", f"VV network={saved[2]}",
               "--out", out, "--log", log]  # fmt: skip
    assert main([str(part) for part in command]) == 0
    assert "mean IoU of wet chips" in capfd.readouterr().out
    document = json.loads((out / "card.json").read_text())
    assert [(part["split"], part["bands"]) for part in document["parts"]] == [("test", "VV+VH"), ("hard", "VV+VH")]
    rows = list(csv.DictReader(log.open()))
    assert tuple(rows[0]) == COLUMNS
    assert [row["checkpoint"] for row in rows] == ["seed1 1", "seed2 1", "seed3 1"] * 2
    iou = document["parts"][0]["evaluation"]["pooled"]["iou"]["value"]
    assert rows[0]["pooled_iou"] == f"{iou:.4f}"
    assert (rows[0]["data"], rows[0]["split"], rows[0]["bands"], rows[0]["chips"]) == (
        "simulated chips", "test", "vv_vh", "5",
    )  # fmt: skip


def row(number: int) -> dict[str, str]:
    return {name: f"{name} {number}" for name in COLUMNS}


def test_lines_of_the_log_are_never_changed(tmp_path) -> None:
    log = tmp_path / "log.csv"
    append_log(log, [row(1)])
    before = log.read_text()
    append_log(log, [row(2), row(3)])
    assert log.read_text().startswith(before)
    assert list(csv.DictReader(log.open())) == [row(1), row(2), row(3)]


def test_a_row_is_added_correctly_after_a_last_line_without_a_newline(tmp_path) -> None:
    log = tmp_path / "log.csv"
    append_log(log, [row(1)])
    log.write_text(log.read_text().rstrip("\n"))
    append_log(log, [row(2)])
    assert list(csv.DictReader(log.open())) == [row(1), row(2)]


def test_a_row_that_cannot_be_written_does_not_change_the_log(tmp_path) -> None:
    log = tmp_path / "log.csv"
    append_log(log, [row(1)])
    before = log.read_bytes()
    with pytest.raises(ValueError, match="bogus"):
        append_log(log, [row(2), {"bogus": "1"}])
    assert log.read_bytes() == before


def test_a_file_that_is_not_a_log_is_refused_and_not_changed(capfd, tmp_path, simulated_chips, saved) -> None:
    other = tmp_path / "notes.csv"
    other.write_text("mine\n")
    with pytest.raises(InputError, match="not a log"):
        append_log(other, [row(1)])
    command = ["benchmark", "--data", simulated_chips, "--checkpoint", saved[0], "--out", tmp_path / "out"]
    refused(capfd, [*command, "--log", other], other, "not a log of evaluations")
    refused(capfd, [*command, "--log", tmp_path], tmp_path, "cannot be read")
    assert other.read_text() == "mine\n"
    assert not (tmp_path / "out").exists()


def test_a_missing_chip_is_refused_and_not_left_out_silently(capfd, tmp_path, simulated_chips, saved) -> None:
    chips = shutil.copytree(simulated_chips, tmp_path / "chips")
    gone = sorted((chips / HAND_FOLDER / "S1Hand").glob("*.tif"))[3]
    gone.unlink()
    command = ["benchmark", "--data", chips, "--checkpoint", saved[0], "--out", tmp_path / "out"]
    refused(capfd, command, gone.name, "missing")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", ["original", "=x", "original="])
def test_a_comparison_needs_a_name_and_a_bundle(capfd, tmp_path, simulated_chips, saved, given) -> None:
    command = ["benchmark", "--data", simulated_chips, "--checkpoint", saved[0], "--out", tmp_path / "out"]
    refused(capfd, [*command, "--compare", given], "--compare", "NAME=BUNDLE")


def test_a_folder_that_is_not_a_labelled_set_is_refused(capfd, tmp_path, saved) -> None:
    command = ["benchmark", "--data", tmp_path, "--checkpoint", saved[0], "--out", tmp_path / "out"]
    refused(capfd, command, tmp_path, "layout")


def test_one_mode_can_be_scored_alone(capfd, simulated_chips, saved) -> None:
    command = ["evaluate", "--data", simulated_chips, "--split", "hard", "--mode", "vv", "--checkpoint", saved[0]]
    assert main([str(part) for part in command]) == 0
    assert "| vv |" in capfd.readouterr().out


def test_scoring_a_partial_copy_prints_how_many_chips_are_absent(capfd, partial_chips, saved) -> None:
    command = ["evaluate", "--data", partial_chips, "--checkpoint", saved[0], "--present-only"]
    assert main([str(part) for part in command]) == 0
    assert "2 of the chips that the split lists are absent." in capfd.readouterr().out


def test_the_baseline_is_fitted_from_a_recipe(capfd, tmp_path) -> None:
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "classifier.json"
    recipe.write_text("name: tiny\ndata: {simulated: {train: 6, valid: 2, test: 1, hard: 0, size: 64}}\n")
    command = ["baseline", "--config", recipe, "--out", out, "--cache", tmp_path / "cache"]
    assert main([str(part) for part in command]) == 0
    fitted = load(out)
    assert (fitted.training_data, fitted.chips) == ("tiny", 6)
    assert str(out) in capfd.readouterr().out


def test_an_output_folder_that_is_a_file_is_refused_before_anything_is_logged(
    capfd, tmp_path, simulated_chips, saved
) -> None:
    out, log = tmp_path / "card", tmp_path / "log.csv"
    out.write_text("mine")
    command = ["benchmark", "--data", simulated_chips, "--checkpoint", saved[0], "--out", out, "--log", log]
    refused(capfd, command, out, "cannot be used as a folder")
    assert out.read_text() == "mine"
    assert not log.exists()
