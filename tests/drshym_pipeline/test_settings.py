"""Every shipped configuration is valid, and the error about a wrong one names the key and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import PipelineSettings, TrainConfig, find_home, load_config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_configuration_is_valid(path: Path) -> None:
    assert load_config(path, TrainConfig).seed == 42


def test_both_encoders_of_the_original_are_named() -> None:
    encoders = {load_config(path, TrainConfig).network.encoder for path in CONFIGS}
    assert {"resnet18", "resnet50"} <= encoders


@pytest.mark.parametrize("name", ["flood.yaml", "original.yaml"])
def test_recipes_of_the_original_use_nothing_that_was_added_since(name: str) -> None:
    recipe = load_config(ROOT / "configs" / name, TrainConfig)
    training = recipe.training
    assert (recipe.network.bands, recipe.data.invalid_label, training.loss) == ("vv", "non_flood", "bce")
    assert recipe.data.labels == "hand" or training.weak_weight == 1.0
    assert training.keep_best == "pooled"
    added = ("ema", "warmup_steps", "water_share", "hard_share", "drop_vh", "mixup")
    jitters = ("jitter_gain_db", "jitter_band_db", "jitter_noise_db")
    assert not {key: getattr(training, key) for key in (*added, *jitters) if getattr(training, key)}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_an_error_about_an_unknown_key_names_it_and_the_nearest_known_key(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_config(write(tmp_path, "training: {lerning_rate: 0.1}"), TrainConfig)
    message = str(caught.value)
    assert message.endswith("recipe.yaml: unknown key 'training.lerning_rate'. Did you mean 'learning_rate'?")


def test_an_error_about_an_unknown_key_without_a_similar_one_lists_the_known_keys(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Known keys here: name, seed, data"):
        load_config(write(tmp_path, "zzz: 1"), TrainConfig)


@pytest.mark.parametrize("text", ["training: {crop: 1}", "seed: many", "- a list", "a: [unclosed"])
def test_wrong_values_are_one_line_that_names_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"recipe\.yaml") as caught:
        load_config(write(tmp_path, text), TrainConfig)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.yaml: the configuration file does not exist"):
        load_config(tmp_path / "nothing.yaml", TrainConfig)


def test_a_folder_is_refused_as_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the configuration cannot be read"):
        load_config(tmp_path, TrainConfig)


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, ""), TrainConfig) == TrainConfig()


def test_all_state_is_below_one_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    settings = PipelineSettings()
    for place in (settings.store_path, settings.inbox_path, settings.mlflow_artifacts):
        assert place.is_relative_to(tmp_path)
    assert settings.mlflow_tracking_uri == f"sqlite:///{tmp_path}/mlflow/mlflow.db"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DRSHYM_TILE", "x", ("valid integer", "'x'")),
        ("DRSHYM_BATCH_SIZE", "0", ("greater than or equal to 1", "'0'")),
        ("DRSHYM_EXCLUDE_SLOPE_DEG", "0", ("greater than 0", "'0'")),
        ("DRSHYM_EXCLUDE_HAND_M", "-1", ("greater than 0", "'-1'")),
        ("DRSHYM_OVERLAP", "512", ("smaller than the tile", "512")),
    ],
)
def test_a_bad_environment_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError) as caught:
        PipelineSettings.from_environment()
    message = str(caught.value)
    assert message.startswith(f"{variable}: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_good_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRSHYM_TILE", "128")
    monkeypatch.setenv("DRSHYM_OVERLAP", "32")
    settings = PipelineSettings.from_environment()
    assert (settings.tile, settings.overlap) == (128, 32)


def test_home_is_found_from_inside_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert find_home(ROOT / "tests") == ROOT / ".dagster"
    assert find_home(tmp_path) == tmp_path.resolve() / ".dagster"


def test_the_floors_of_a_recipe_are_those_of_its_own_data(tmp_path: Path) -> None:
    floors = "evaluation: {floors: {simulated: {iou: 0.4}, sen1floods11: {iou: 0.55, f1: 0.7}}}"
    simulated = load_config(write(tmp_path, floors), TrainConfig)
    assert (simulated.floors.iou, simulated.floors.f1) == (0.4, 0.0)
    real = load_config(write(tmp_path, "data: {kind: sen1floods11}\n" + floors), TrainConfig)
    assert (real.floors.iou, real.floors.f1) == (0.55, 0.7)
    assert TrainConfig().floors.iou == 0.0


def test_floors_of_an_unknown_data_set_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"evaluation\.floors\.sen1flods11.*Did you mean 'sen1floods11'"):
        load_config(write(tmp_path, "evaluation: {floors: {sen1flods11: {iou: 0.5}}}"), TrainConfig)
