"""The stated origin of chips is always one that the data itself shows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from drshym_pipeline.cli import main
from drshym_pipeline.datasets import known_sets
from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.description import describe_data
from drshym_pipeline.datasets.known_sets import KNOWN_SETS, chip_digest
from drshym_pipeline.datasets.provenance import STATEMENT_FILE, Provenance, provenance_of
from drshym_pipeline.datasets.sen1floods11 import HAND_FOLDER, HAND_SPLITS, Sen1Floods11, split_file
from drshym_pipeline.datasets.simulator.writer import DONE_MARKER, write_dataset
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.evaluation_log import log_rows
from drshym_pipeline.evaluation.samples import open_samples
from drshym_pipeline.evaluation.suite import run_suite
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.settings import DataConfig, EvaluationConfig, SimulatedData
from drshym_pipeline.storage import write_json

# For each chip: its official name, its list, and a corner in the area of its event.
OFFICIAL = (
    ("Ghana_103272", "train", (-1.5, 10.0)),
    ("Ghana_5079", "valid", (-1.5, 9.0)),
    ("Ghana_313799", "test", (-1.5, 8.0)),
    ("Bolivia_103757", "bolivia", (-65.0, -13.0)),
)
PIXEL = 8.983152841195215e-05


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "set", SimulatedData(train=2, valid=2, test=2, hard=0, size=64))


def write_chip(root: Path, chip: str, corner: tuple[float, float], side: int = 512, crs: str = "EPSG:4326") -> None:
    """Write an image and a label with constant values into the official folders."""
    for folder, count, dtype in (("S1Hand", 2, "float32"), ("LabelHand", 1, "int16")):
        path = root / HAND_FOLDER / folder / f"{chip}_{folder}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = {"driver": "GTiff", "count": count, "height": side, "width": side, "dtype": dtype, "crs": crs}
        with rasterio.open(
            path, "w", **profile, transform=from_origin(*corner, PIXEL, PIXEL), compress="deflate"
        ) as out:
            out.write(np.full((count, side, side), -12 if count == 2 else 0, dtype))


def write_lists(root: Path, lists: dict[str, Sequence[str]]) -> Sen1Floods11:
    for split in ("train", "valid", "test", "bolivia"):
        rows = "".join(f"{chip}_S1Hand.tif,{chip}_LabelHand.tif\n" for chip in lists.get(split, ()))
        path = root / HAND_SPLITS / split_file(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rows)
    return Sen1Floods11(root)


@pytest.fixture
def official(tmp_path: Path) -> Callable[..., Sen1Floods11]:
    """Return a function that writes chips with official names; its arguments replace properties of official chips."""

    def write(**changes: object) -> Sen1Floods11:
        root = tmp_path / "official"
        for chip, _, corner in OFFICIAL:
            write_chip(root, chip, **{"corner": corner, **changes})
        return write_lists(root, {split: [chip] for chip, split, _ in OFFICIAL})

    return write


def origin_of(data: Sen1Floods11, *splits: str) -> Provenance:
    return provenance_of(data, [ref for split in splits or ("train", "valid", "test") for ref in data.chips(split)])


def test_chips_with_the_simulators_marker_are_simulated_for_every_kind_in_the_recipe(simulated: Path) -> None:
    for kind in ("simulated", "sen1floods11"):
        card = describe_data(DataConfig(kind=kind, root=simulated), Sen1Floods11(simulated))
        assert (card.origin, card.title) == ("simulated", "simulated Sentinel-1 scenes")
        assert DONE_MARKER in card.evidence


def without(marker: Path) -> None:
    marker.unlink()


def of_another_program(marker: Path) -> None:
    write_json(marker, {"made_by": "hand"})


def not_an_object(marker: Path) -> None:
    write_json(marker, [1, 2])


def of_fewer_chips(marker: Path) -> None:
    write_json(marker, json.loads(marker.read_text()) | {"train": 1, "valid": 1, "test": 1})


@pytest.mark.parametrize("spoil", [without, of_another_program, not_an_object, of_fewer_chips])
def test_the_layout_alone_gives_no_origin(simulated: Path, spoil: Callable[[Path], None]) -> None:
    spoil(simulated / DONE_MARKER)
    for kind in ("simulated", "sen1floods11"):
        card = describe_data(DataConfig(kind=kind, root=simulated), Sen1Floods11(simulated))
        assert (card.origin, card.source, card.licence) == ("unknown", "unknown", "unknown")
        assert "chips is a known chip of Sen1Floods11" in card.evidence
        assert "446 hand" not in card.model_dump_json()
        assert "CC-BY" not in card.model_dump_json()


def test_a_statement_of_the_owner_is_marked_as_stated(simulated: Path) -> None:
    (simulated / DONE_MARKER).unlink()
    write_json(simulated / STATEMENT_FILE, {"title": "Our lakes", "source": "Drawn by us", "licence": "CC0"})
    found = origin_of(Sen1Floods11(simulated))
    assert (found.origin, found.title, found.licence, found.truth) == ("stated", "Our lakes", "CC0", "not stated")
    assert "did not check" in found.evidence


def test_a_statement_does_not_make_simulated_chips_real(simulated: Path) -> None:
    write_json(simulated / STATEMENT_FILE, {"title": "Real floods", "source": "Drawn by people", "licence": "CC0"})
    assert origin_of(Sen1Floods11(simulated)).origin == "simulated"


@pytest.mark.parametrize(
    ("statement", "words"),
    [({"title": "x", "source": "y"}, "licence"), ({"title": "x", "source": "y", "licence": "z", "url": "u"}, "url")],
)
def test_a_statement_that_cannot_be_used_is_named(simulated: Path, statement: dict[str, str], words: str) -> None:
    (simulated / DONE_MARKER).unlink()
    write_json(simulated / STATEMENT_FILE, statement)
    with pytest.raises(InputError, match=rf"{STATEMENT_FILE}.*{words}"):
        origin_of(Sen1Floods11(simulated))


def test_official_chips_are_recognised_with_their_share(official: Callable[..., Sen1Floods11]) -> None:
    data = official()
    found = origin_of(data)
    assert (found.origin, found.title) == ("recognised", "Sen1Floods11 (3 of 431 chips)")
    assert "0.7 % of the 431 chips of the official lists train and valid and test" in found.evidence
    assert "CC-BY" in found.licence
    assert origin_of(data, "bolivia").title == "Sen1Floods11 (1 of 15 chips)"


@pytest.mark.parametrize("changes", [{"corner": (30.0, 50.0)}, {"side": 256}, {"crs": "EPSG:32630"}])
def test_official_names_alone_are_not_enough(official: Callable[..., Sen1Floods11], changes: dict[str, object]) -> None:
    found = origin_of(official(**changes), "train")
    assert found.origin == "unknown"
    assert "The only chip is no known chip of Sen1Floods11" in found.evidence


def test_one_foreign_chip_makes_the_origin_unknown_and_the_others_are_counted(
    official: Callable[..., Sen1Floods11],
) -> None:
    root = official().root
    write_chip(root, "Ghana_99999999", (-1.5, 7.0))
    data = write_lists(root, {"train": ["Ghana_103272", "Ghana_99999999"]})
    found = origin_of(data, "train")
    assert found.origin == "unknown"
    assert "Of these 2 chips, 1 is a known chip of Sen1Floods11" in found.evidence


def test_training_on_official_test_chips_is_reported(official: Callable[..., Sen1Floods11]) -> None:
    data = write_lists(official().root, {"train": ["Ghana_103272", "Ghana_313799"]})
    assert "1 chip is used in another split than its own" in origin_of(data, "train").evidence


def picture(path: Path, level: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes([level]) * 16)
    return path


@pytest.mark.parametrize("layout", ["STAC-Overflow", "ETCI 2021", "OMBRIA", "EMSR763"])
def test_chips_of_other_sets_are_known_by_checksum_alone(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For all layouts: known files are recognised, files with the same names and other content are not."""
    image, label = picture(tmp_path / "a_vv.png", 1), picture(tmp_path / "a.png", 2)
    ref = ChipRef("a", "event", "train", image, label)

    class Folder:
        root = tmp_path

    folder = Folder()
    folder.layout = layout  # type: ignore[attr-defined]
    digests = {layout: {"checksums": frozenset({chip_digest(image, None, label)})}}
    monkeypatch.setattr(known_sets, "_known_chips", lambda: digests)
    found = provenance_of(folder, [ref])  # type: ignore[arg-type]
    assert (found.origin, found.title) == ("recognised", f"{layout} (1 image)")
    assert found.source == KNOWN_SETS[layout].source
    assert "not known to the program" in found.evidence
    picture(label, 3)
    assert provenance_of(folder, [ref]).origin == "unknown"  # type: ignore[arg-type]


def test_no_loader_states_an_origin_by_itself() -> None:
    from drshym_pipeline.datasets import open_set

    for loader in open_set._LOADERS.values():
        claims = {name for name in ("title", "source", "licence") if hasattr(loader, name)}
        assert not claims, f"{loader} states {claims}: an origin is decided in datasets.provenance"
        assert loader.layout in KNOWN_SETS  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, random_bundle: ModelBundle) -> Path:
    return random_bundle.save(tmp_path_factory.mktemp("model") / "bundle")


def test_cards_of_evaluations_and_the_log_say_the_same(
    simulated: Path, checkpoint: Path, random_bundle: ModelBundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(simulated, tmp_path / "other"))
    (other / DONE_MARKER).unlink()
    for folder, title, words in (
        (simulated, "simulated Sentinel-1 scenes, test", DONE_MARKER),
        (other, "unknown origin, in the layout of Sen1Floods11, test", "no simulation.json that describes them"),
    ):
        out = tmp_path / f"out-{folder.name}"
        command = ["evaluate", "--data", folder, "--checkpoint", checkpoint, "--out", out]
        assert main([str(part) for part in command]) == 0
        text = (out / "evaluation.md").read_text()
        assert text in capfd.readouterr().out
        assert text.startswith(f"# {random_bundle.name} {random_bundle.version} on {title}\n")
        assert words in text
    samples = open_samples([simulated, other], ["test"])
    parts = run_suite(samples, [random_bundle], modes=["vv"], config=EvaluationConfig(bootstrap=100))
    assert [row["data"] for row in log_rows(parts)] == [
        "simulated set",
        "unknown origin, in the layout of Sen1Floods11",
    ]
    assert DONE_MARKER in parts[0].first.notes[0]
