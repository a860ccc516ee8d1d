"""The chips that a run draws, the examples it shows and the weights it keeps, on a shallow network for speed."""

import io
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import DataConfig, NetworkConfig, SourceConfig, TrainConfig, TrainingConfig
from drshym_pipeline.storage import read_json
from drshym_pipeline.training.checkpoint import IDENTITY_FILE, RESUME_FILE
from drshym_pipeline.training.train import train


class KilledError(Exception):
    pass


def kill_at(step: int):
    def listener(stage: str, done: int, total: int) -> None:
        if stage == "train" and done == step:
            raise KilledError

    return listener


def recipe(**training: object) -> TrainConfig:
    return TrainConfig(
        name="shallow",
        network=NetworkConfig(stem="half", decoder_channels=(16, 8, 8)),
        training=TrainingConfig(
            **{"crop": 64, "batch_size": 2, "max_steps": 4, "validate_every": 2, "warmup_steps": 2, **training}
        ),
    )


def write_tiles(root: Path) -> Path:
    """Write two 8-bit tiles of one scene with a lake in the layout of ETCI 2021."""
    rng = np.random.default_rng(42)
    lake = np.zeros((64, 64), bool)
    lake[20:50, 10:40] = True
    for number in range(2):
        name = f"made_20200101t000000_x-0_y-{number}"
        vv = np.clip(np.where(lake, 40, 150) + rng.normal(0, 12, lake.shape), 0, 254)
        for kind, suffix, pixels in (
            ("vv", "_vv", vv),
            ("vh", "_vh", vv * 0.8),
            ("flood_label", "", lake * 255),
            ("water_body_label", "", lake * 0),
        ):
            file = root / "made_20200101t000000" / "tiles" / kind / f"{name}{suffix}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(file)
    return root


def test_a_run_with_hard_and_mixed_samples_resumes_to_the_same_weights(chips: Sen1Floods11, tmp_path: Path) -> None:
    config = recipe(hard_share=0.8, mixup=0.4, max_steps=6)
    whole = train(config, chips, tmp_path / "whole")
    with pytest.raises(KilledError):
        train(config, chips, tmp_path / "cut", progress=kill_at(5))
    resume = torch.load(tmp_path / "cut" / RESUME_FILE, weights_only=True)
    assert torch.isfinite(resume["drshym_run"]["crop_losses"]).any()
    resumed = train(config, chips, tmp_path / "cut")
    assert resumed.history == whole.history
    assert resumed.weights_sha256 == whole.weights_sha256


@pytest.mark.parametrize(
    "change",
    [{"hard_share": 1.0, "validate_every": 1}, {"mixup": 1.0}, {"jitter_band_db": 5.0}, {"loss": "focal_tversky"}],
)
def test_every_setting_of_the_sampling_reaches_the_weights(
    chips: Sen1Floods11, tmp_path: Path, change: dict[str, object]
) -> None:
    base = {key: TrainingConfig.model_fields[key].default for key in change} | {
        "validate_every": change.get("validate_every", 2)
    }
    plain = train(recipe(**base), chips, tmp_path / "plain")
    assert train(recipe(**change), chips, tmp_path / "changed").weights_sha256 != plain.weights_sha256


def test_other_sources_are_trained_on_and_belong_to_the_identity_of_a_run(chips: Sen1Floods11, tmp_path: Path) -> None:
    source = SourceConfig(kind="etci2021", root=write_tiles(tmp_path / "tiles"), weight=0.6)
    config = recipe(max_steps=2).model_copy(update={"data": DataConfig(sources=(source,))})
    alone = train(recipe(max_steps=2), chips, tmp_path / "alone")
    mixed = train(config, chips, tmp_path / "mixed")
    assert mixed.weights_sha256 != alone.weights_sha256
    assert read_json(tmp_path / "mixed" / IDENTITY_FILE)["sources"]["0"]["weight"] == 0.6

    elsewhere = source.model_copy(update={"root": write_tiles(tmp_path / "moved")})
    moved = config.model_copy(update={"data": DataConfig(sources=(elsewhere,))})
    assert train(moved, chips, tmp_path / "mixed") == mixed
    rarer = config.model_copy(update={"data": DataConfig(sources=(source.model_copy(update={"weight": 0.2}),))})
    with pytest.raises(InputError, match=r"differs in 'sources\.0\.weight'"):
        train(rarer, chips, tmp_path / "mixed")
    with pytest.raises(InputError, match=r"differs in 'sources\.0"):
        train(recipe(max_steps=2), chips, tmp_path / "mixed")


def test_a_source_without_the_layout_is_named_before_anything_is_written(chips: Sen1Floods11, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    source = SourceConfig(kind="etci2021", root=tmp_path / "empty")
    config = recipe().model_copy(update={"data": DataConfig(sources=(source,))})
    with pytest.raises(InputError, match="empty: does not have the layout of ETCI 2021"):
        train(config, chips, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_example_maps_come_at_every_validation_from_the_same_chips(chips: Sen1Floods11, tmp_path: Path) -> None:
    seen: list[tuple[int, dict[str, bytes]]] = []
    config = recipe()
    shown = train(config, chips, tmp_path / "shown", on_examples=lambda step, figures: seen.append((step, figures)))
    assert [step for step, _ in seen] == [2, 4]
    names = {f"{ref.chip_id}.png" for ref in chips.chips("valid")}
    assert 1 <= len(seen[0][1]) <= 3
    assert set(seen[0][1]) == set(seen[1][1]) <= names
    pictures = [np.asarray(Image.open(io.BytesIO(png))) for _, figures in seen for png in figures.values()]
    assert all(picture.shape == (64, 64 * 3 + 8) for picture in pictures)
    assert train(config, chips, tmp_path / "quiet").weights_sha256 == shown.weights_sha256


def test_the_last_weights_are_kept_when_asked(chips: Sen1Floods11, tmp_path: Path) -> None:
    assert train(recipe(keep_best="last"), chips, tmp_path / "run").best_step == 4


def spoil(chips: Sen1Floods11, root: Path, split: str, count: int | None = None) -> Sen1Floods11:
    """Write a copy in which the first `count` chips of a split have only NaN or only the label -1, in turn."""
    shutil.copytree(chips.root, root)
    spoilt = Sen1Floods11(root)
    for number, ref in enumerate(spoilt.chips(split)[:count]):
        file, value = (ref.image, np.nan) if number % 2 else (ref.label, -1)
        with rasterio.open(file, "r+") as dataset:
            dataset.write(np.full_like(dataset.read(), value))
    return spoilt


def test_training_chips_that_say_nothing_are_named_and_left_out(
    chips: Sen1Floods11, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = spoil(chips, tmp_path / "set", "train", 2)
    names = ", ".join(ref.chip_id for ref in data.chips("train")[:2])
    with caplog.at_level(logging.WARNING):
        outcome = train(recipe(max_steps=2), data, tmp_path / "run")
    assert f"2 training chips have no labelled, observed pixel and are never drawn: {names}" in caplog.text
    assert np.isfinite(outcome.history[0]["train_loss"])


def test_a_training_split_of_nothing_else_is_refused(chips: Sen1Floods11, tmp_path: Path) -> None:
    data = spoil(chips, tmp_path / "set", "train")
    with pytest.raises(InputError, match="training split: none of its 4 chips has a labelled, observed pixel"):
        train(recipe(), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_validation_split_of_nothing_else_is_refused(chips: Sen1Floods11, tmp_path: Path) -> None:
    data = spoil(chips, tmp_path / "set", "valid")
    with pytest.raises(InputError, match="validation split: has 0 water pixels of 0 labelled ones"):
        train(recipe(), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_interrupted_run_is_not_resumed_with_another_recipe(chips: Sen1Floods11, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(recipe(), chips, tmp_path / "run", progress=kill_at(3))
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(InputError, match=r"differs in 'training\.loss'.*Train in another directory"):
        train(recipe(loss="bce"), chips, tmp_path / "run")
    with pytest.raises(InputError, match=r"differs in 'network\.encoder'"):
        other = recipe().network.model_copy(update={"encoder": "resnet34"})
        train(recipe().model_copy(update={"network": other}), chips, tmp_path / "run")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_a_resume_point_of_another_architecture_is_named(chips: Sen1Floods11, tmp_path: Path) -> None:
    wide = recipe()
    narrow = wide.model_copy(update={"network": wide.network.model_copy(update={"decoder_channels": (8, 8, 8)})})
    for name, config in (("wide", wide), ("narrow", narrow)):
        with pytest.raises(KilledError):
            train(config, chips, tmp_path / name, progress=kill_at(3))
    shutil.copy(tmp_path / "wide" / RESUME_FILE, tmp_path / "narrow" / RESUME_FILE)
    with pytest.raises(InputError, match=r"last\.ckpt: the weights belong to another architecture"):
        train(narrow, chips, tmp_path / "narrow")
