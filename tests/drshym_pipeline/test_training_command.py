"""`drshym train` as a user sees it: the loss, the validations, the start, and the folders of the results."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from drshym_pipeline.cli import main
from drshym_pipeline.commands.training import TrainingLines, outcome_lines, place_lines
from drshym_pipeline.datasets.simulator.writer import DONE_MARKER, write_dataset
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.settings import SimulatedData, TrainConfig
from drshym_pipeline.storage import read_json, write_json
from drshym_pipeline.training.checkpoint import OUTCOME_FILE, TrainedCheckpoint


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRSHYM_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = SimulatedData(train=2, valid=3, test=1, hard=0, size=64)
    return write_dataset(tmp_path_factory.mktemp("chips") / "set", sizes)


@pytest.fixture
def train(tmp_path: Path, chips: Path) -> Callable[..., Path]:
    """A function that trains four steps with the command and returns the folder of the run."""

    def run(name: str, start: str = "random", root: Path = chips) -> Path:
        recipe = tmp_path / f"{name}.yaml"
        recipe.write_text(
            f"name: {name}\n"
            f"data: {{kind: sen1floods11, root: {root}}}\n"
            f"network: {{encoder: resnet18, stem: half, decoder_channels: [16, 8, 8], start: {start}}}\n"
            "training: {crop: 32, batch_size: 2, max_steps: 4, validate_every: 2, warmup_steps: 1}\n"
        )
        assert main(["train", "--config", str(recipe), "--out", str(tmp_path / name)]) == 0
        return tmp_path / name

    return run


def test_training_shows_loss_scores_the_start_and_where_the_bundle_is(
    train: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    first = train("first")
    printed = capfd.readouterr()
    score = r"validation IoU 0\.\d{3}, mean over chips with water 0\.\d{3}; VV alone 0\.\d{3}, mean 0\.\d{3}"
    for step in (2, 4):
        assert re.search(
            rf"^first: step {step} of 4: loss \d\.\d{{3}}, validation loss \d\.\d{{3}}, {score}", printed.err, re.M
        )
    assert "start (" not in printed.err, "random weights have no score worth showing"
    assert "At the start" not in printed.out
    for line in (f"bundle: {first / 'bundle'}", f"model card: {first / 'bundle' / 'MODEL_CARD.md'}"):
        assert line in printed.out.splitlines()
    assert (first / "bundle" / "MODEL_CARD.md").is_file()
    assert "origin of the training data" not in printed.out, "the simulator's record says where the chips come from"
    notes = [line for line in printed.out.splitlines() if line.startswith("note: ")]
    assert [line.split(" for ")[0] for line in notes] == [
        "note: No area interval by signs of the scene",
        "note: No interval of the flooded area",
        "note: No check",
    ], "three validation chips are too few for all of them"

    second = train("second", start=str(first / "bundle"))
    printed = capfd.readouterr()
    outcome = TrainedCheckpoint.load(second / "checkpoint")
    assert outcome.start is not None
    kept = TrainedCheckpoint.load(first / "checkpoint").best
    assert outcome.start["valid_iou"] == pytest.approx(kept["valid_iou"], abs=0.02), (
        "the weights of a bundle are rounded"
    )
    assert f"second: start ({first / 'bundle'}): validation IoU {outcome.start['valid_iou']:.3f}" in printed.err
    gain = outcome.best["valid_iou"] - outcome.start["valid_iou"]
    assert f"Difference: {gain:+.3f}, mean over chips with water" in printed.out


def test_asking_for_the_start_does_not_change_the_run(train: Callable[..., Path], tmp_path: Path, chips: Path) -> None:
    from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
    from drshym_pipeline.settings import load_config
    from drshym_pipeline.training.train import train as train_network

    first = train("first")
    second = train("second", start=str(first / "bundle"))
    recipe = load_config(tmp_path / "second.yaml", TrainConfig)
    silent = train_network(recipe, Sen1Floods11(chips), tmp_path / "silent")
    assert silent.start is None
    assert silent.weights_sha256 == TrainedCheckpoint.load(second / "checkpoint").weights_sha256


def test_the_command_asks_for_the_origin_of_the_data_if_it_is_unknown(
    train: Callable[..., Path], chips: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import shutil

    root = Path(shutil.copytree(chips, tmp_path / "copy"))
    (root / DONE_MARKER).unlink()
    run = train("mine", root=root)
    out = capfd.readouterr().out
    assert "note: the origin of the training data is unknown." in out
    assert "write title, source and licence into dataset.json" in out
    card = (run / "bundle" / "MODEL_CARD.md").read_text()
    assert "Trained on 2 chips (hand labels) of unknown origin, in the layout of Sen1Floods11" in card
    cards = card + (run / "bundle" / "DATASET_CARD.md").read_text()
    assert not re.search(r"446 (hand|chips)|CC-BY|drawn by people", cards, re.IGNORECASE)


class Recorded:
    """A display that records its input."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.details: list[str] = []

    def __call__(self, stage: str, done: int, total: int) -> None:
        raise AssertionError("the lines of a training do not count")

    def line(self, text: str) -> None:
        self.lines.append(text)

    def detail(self, stage: str, text: str) -> None:
        self.details.append(f"{stage}: {text}")


def entry(step: int, mean: float) -> dict[str, float]:
    scores = {"valid_iou": 0.5, "valid_mean_iou": mean}
    return {"step": float(step), "train_loss": 0.5, "valid_loss": 0.6, "learning_rate": 0.1, **scores}


def test_the_loss_is_smoothed_and_the_best_validation_is_marked() -> None:
    display = Recorded()
    lines = TrainingLines(display, TrainConfig())
    for step, loss in enumerate((1.0, 0.0), start=1):
        lines.stepped(step, loss)
    assert display.details == ["train: loss 1.000", "train: loss 0.900"]
    for step, mean in ((100, 0.4), (200, 0.3), (300, 0.5)):
        lines.validated(entry(step, mean))
    assert [line.endswith("best so far") for line in display.lines] == [True, False, True]


def test_a_resumed_run_does_not_say_which_validation_is_the_best() -> None:
    display = Recorded()
    TrainingLines(display, TrainConfig(), resumed=True).validated(entry(100, 0.4))
    assert "best" not in display.lines[0]


def test_the_result_of_an_earlier_release_is_still_read(train: Callable[..., Path]) -> None:
    folder = train("first") / "checkpoint"
    values = read_json(folder / OUTCOME_FILE)
    values.pop("start")
    write_json(folder / OUTCOME_FILE, values)
    outcome = TrainedCheckpoint.load(folder)
    assert outcome.start is None
    assert not any("At the start" in line for line in outcome_lines(outcome, TrainConfig()))


def test_a_bundle_of_an_earlier_release_is_not_said_to_be_of_unknown_data(
    random_bundle: ModelBundle, tmp_path: Path
) -> None:
    assert not any(line.startswith("note") for line in place_lines(random_bundle, tmp_path))


def test_a_person_sees_bars_with_the_loss_and_lines_above_them(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from drshym_pipeline.console import shown_progress

    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    with shown_progress("tiny") as display:
        display.detail("train", "loss 0.123")
        display("train", 1, 2)
        display.line("step 1 of 2: loss 0.500")
        display("train", 2, 2)
    shown = capfd.readouterr().err
    assert "tiny: training (steps), loss 0.123" in shown
    assert "tiny: step 1 of 2: loss 0.500" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
