"""The set `real_land`: the packaged patches are whole and grouped by place, and faulty folders are refused clearly."""

from __future__ import annotations

import logging
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Geod
from rasterio.warp import transform

from drshym_pipeline.cli import main
from drshym_pipeline.datasets.chips import ChipRef, read_chip
from drshym_pipeline.datasets.labelled_set import leave_one_event_out
from drshym_pipeline.datasets.open_set import detect_set, open_labelled_set
from drshym_pipeline.datasets.provenance import provenance_of
from drshym_pipeline.datasets.real_land import COLUMNS, PACKAGED, TABLE, RealLand, read_patches
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.evaluate import evaluate

_NEAR = 100_000.0  # metres


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the set with three patches of two places."""
    folder = tmp_path / "set"
    folder.mkdir()
    rows = [",".join(COLUMNS)]
    for patch in RealLand().patches:
        if patch.place in ("vojvodina", "archipelago-sea"):
            rows.append(",".join([patch.patch, patch.place, "x", patch.source, patch.licence, "land"]))
            for name in (f"{patch.patch}.tif", f"{patch.patch}_label.tif"):
                shutil.copyfile(PACKAGED / name, folder / name)
    (folder / TABLE).write_text("\n".join(rows) + "\n")
    return folder


def centre(ref: ChipRef) -> tuple[float, float]:
    with rasterio.open(ref.image) as dataset:
        x, y = dataset.transform @ (dataset.width / 2, dataset.height / 2)
        (longitude,), (latitude,) = transform(dataset.crs, "EPSG:4326", [x], [y])
    return longitude, latitude


def test_every_packaged_patch_can_be_read_with_both_bands_and_its_label():
    refs = RealLand().chips("train")
    assert len(refs) == 17
    for ref in refs:
        chip = read_chip(ref)
        assert chip.db.shape == (2, *chip.label.shape)
        assert (chip.label >= 0).mean() > 0.7, ref.chip_id
        assert -40 < np.nanmedian(chip.db[1]) < np.nanmedian(chip.db[0]) < 0, "dB, VV first"
        assert chip.crs.startswith("EPSG:32")


def test_patches_of_one_place_are_near_and_all_others_are_far():
    refs = RealLand().chips("train")
    places = {ref.chip_id: centre(ref) for ref in refs}
    near = {
        (a.chip_id, b.chip_id)
        for a in refs
        for b in refs
        if Geod(ellps="WGS84").inv(*places[a.chip_id], *places[b.chip_id])[2] < _NEAR
    }
    events = {ref.chip_id: ref.event for ref in refs}
    assert all(events[a] == events[b] for a, b in near), "neighbours in two places"
    for ref in refs:
        reached = {ref.chip_id}
        while new := {b for a, b in near if a in reached} - reached:
            reached |= new
        assert reached == {name for name, event in events.items() if event == ref.event}


def test_places_are_the_events_and_the_splits():
    data = RealLand()
    assert data.splits() == ("train", *data.events())
    assert len(data.events()) == 12
    folds = list(leave_one_event_out([data]))
    assert [place for place, _, _ in folds] == list(data.events())
    for place, kept, held_out in folds:
        assert held_out == [ref for ref in data.chips("train") if ref.event == place]
        assert [ref.chip_id for ref in data.chips(place)] == [ref.chip_id for ref in held_out]
        assert len(kept) + len(held_out) == 17
    with pytest.raises(InputError, match=r"split 'test': this set is divided by place only\. Splits here: train, arch"):
        data.chips("test")


def test_the_origin_is_recognised_with_both_sources_and_licences():
    data = RealLand()
    found = provenance_of(data, data.chips("train"))
    assert (found.origin, found.title) == ("recognised", "real_land")
    assert "BigEarthNet v2" in found.source
    assert "SEN12MS-CR" in found.source
    assert "CDLA-Permissive-1.0" in found.licence
    assert "CC BY 4.0" in found.licence
    part = provenance_of(data, data.chips("vojvodina"))
    assert part.title == "real_land (2 of 17 chips)"
    assert "The whole set has 17." in part.evidence


def test_a_changed_patch_is_no_longer_recognised(copy: Path):
    data = RealLand(copy)
    assert provenance_of(data, data.chips("train")).origin == "recognised"
    with rasterio.open(copy / "ben_7118_label.tif", "r+") as dataset:
        dataset.write(np.ones((1, 120, 120), np.int16))
    found = provenance_of(data, data.chips("train"))
    assert found.origin == "unknown"
    assert "2 are known chips of real_land" in found.evidence


def test_the_licence_of_every_patch_is_beside_it():
    for patch in RealLand().patches:
        text = (PACKAGED / f"{patch.licence}.txt").read_text("utf-8")
        assert len(text.split()) > 1000, "the whole text"
    assert {patch.licence for patch in RealLand().patches} == {"CDLA-Permissive-1.0", "CC-BY-4.0"}


def test_the_wheel_has_the_patches_their_table_and_the_licences(tmp_path: Path):
    from hatchling.builders.wheel import WheelBuilder

    root = PACKAGED.parents[3]
    (wheel,) = WheelBuilder(str(root)).build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    packaged = {path.name for path in PACKAGED.iterdir()}
    assert packaged == {
        Path(name).name for name in names if name.startswith("drshym_pipeline/datasets/data/real_land/")
    }
    licences = {Path(name).name for name in names if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "CC-BY-4.0.txt", "CDLA-Permissive-1.0.txt"}


def test_pixels_in_doubt_stay_ignored_when_minus_one_means_dry():
    (ref,) = [ref for ref in RealLand().chips("train") if ref.chip_id == "ben_156114"]
    kept, dry = read_chip(ref).label, read_chip(ref, "non_flood").label
    assert (kept == -1).any()
    np.testing.assert_array_equal(kept, dry)


# The fault, the words of the error, and what the error advises.
Change = Callable[[Path], object]
_ROW = "ben_7118,vojvodina,x,BigEarthNet v2,CDLA-Permissive-1.0,land"


def edit(old: str, new: str) -> Change:
    return lambda root: (root / TABLE).write_text((root / TABLE).read_text().replace(old, new))


def restore(name: str) -> Change:
    return lambda root: shutil.copyfile(PACKAGED / name, root / name)


def delete(*names: str) -> Change:
    return lambda root: [(root / name).unlink() for name in names]


FAULTS: dict[str, tuple[Change, str, Change]] = {
    "no label": (
        delete("ben_7118_label.tif"),
        r"ben_7118_label\.tif: the patch 'ben_7118' has no label\. Copy the file again, or delete the patch",
        restore("ben_7118_label.tif"),
    ),
    "no image": (
        delete("ben_7118.tif", "ben_7118_label.tif"),
        r"ben_7118\.tif: the patch 'ben_7118' that patches.csv names is missing\. .* or delete .* its row",
        edit(_ROW + "\n", ""),
    ),
    "label without a patch": (
        lambda root: shutil.copyfile(root / "ben_7118_label.tif", root / "other_label.tif"),
        r"other_label\.tif: is a label without its patch 'other'\. .*, or delete the label",
        delete("other_label.tif"),
    ),
    "not in the table": (
        edit(_ROW + "\n", ""),
        r"ben_7118\.tif: the patch 'ben_7118' is not in patches\.csv, so its origin .* Add a row with patch, place",
        lambda root: (root / TABLE).write_text((root / TABLE).read_text() + _ROW + "\n"),
    ),
    "no licence": (edit("CDLA-Permissive-1.0", ""), "row 2: has no licence. Write a value", None),
    "named twice": (edit(_ROW, f"{_ROW}\n{_ROW}"), "names the patch 'ben_7118' twice. Keep one row", None),
    "a comma": (
        edit(_ROW, f"{_ROW}, sea"),
        "has 7 values, not 6. .* quotes",
        edit(f"{_ROW}, sea", f'{_ROW[:-4]}"land, sea"'),
    ),
    "no head": (edit(",".join(COLUMNS), "name,place"), "does not begin with the names of its columns. Write the", None),
    "no rows": (lambda root: (root / TABLE).write_text(",".join(COLUMNS)), "names no patch", None),
    "not UTF-8": (lambda root: (root / TABLE).write_bytes(b"\xff\xfe\xb3"), "cannot be read as a CSV table", None),
    "a split's name": (edit(",vojvodina,", ",train,"), "'train' cannot be the name of a place. Use letters", None),
    "a path": (edit(_ROW, "../" + _ROW), r"'\.\./ben_7118' cannot be the name of a patch", None),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_folder_is_refused_in_one_sentence_and_its_advice_works(copy: Path, fault: str):
    change, words, advice = FAULTS[fault]
    change(copy)
    with pytest.raises(InputError, match=words) as caught:
        detect_set(copy).chips("train")
    assert "\n" not in str(caught.value)
    if advice is not None:
        advice(copy)
        assert RealLand(copy).chips("train")


def test_a_folder_without_a_table_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"there is no patches\.csv\. Leave root out to use the set of the package"):
        open_labelled_set("real_land", tmp_path)
    with pytest.raises(InputError, match=r"does not come with the package\. Give the folder"):
        open_labelled_set("ombria")


def test_an_installation_without_the_patches_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("drshym_pipeline.datasets.real_land.PACKAGED", tmp_path)
    with pytest.raises(InputError, match="Install the package again"):
        open_labelled_set("real_land")


def test_incomplete_patches_are_left_out_on_request_and_counted(copy: Path, caplog: pytest.LogCaptureFixture):
    (copy / "ben_7118_label.tif").unlink()
    data = RealLand(copy)
    with caplog.at_level(logging.WARNING):
        assert [ref.chip_id for ref in data.chips("train", present_only=True)] == ["ben_332111", "ben_5209"]
    assert "the patch ben_7118 is not complete" in caplog.text
    assert (data.absent("train"), data.absent("vojvodina"), data.absent("archipelago-sea")) == (1, 1, 0)


def test_the_hash_depends_on_table_and_pixels(copy: Path):
    first = RealLand(copy).sha256()
    assert RealLand(copy).sha256() == first
    edit("land\n", "fields\n")(copy)
    assert RealLand(copy).sha256() != first


def test_the_name_alone_means_the_packaged_set_and_a_folder_comes_first(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert detect_set(Path("real_land")).root == PACKAGED
    copy.rename(tmp_path / "real_land")
    assert detect_set(Path("real_land")).root == Path("real_land")


def test_the_command_scores_one_place_of_the_packaged_set(
    random_bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    bundle = random_bundle.save(tmp_path / "bundle")
    command = ["evaluate", "--data", "real_land", "--split", "archipelago-sea", "--checkpoint", str(bundle)]
    assert main(command) == 0
    assert "real_land (1 of 17 chips), archipelago-sea" in capfd.readouterr().out
    assert main(["evaluate", "--data", "real_land", "--checkpoint", str(bundle)]) == 2
    assert "split 'test'" in capfd.readouterr().err


def test_patches_of_different_size_are_scored_together(random_bundle):
    refs = [ref for ref in RealLand().chips("train") if ref.chip_id in ("ben_5209", "glfcr_fall_139_p839")]
    counts = evaluate(random_bundle, refs).counts
    assert list(counts["event"]) == ["archipelago-sea", "jiangsu"]
    for ref in refs:
        chip = read_chip(ref)
        assert counts.loc[ref.chip_id, ["tp", "fp", "fn", "tn"]].sum() == (chip.label >= 0).sum()


def test_the_table_says_what_every_patch_shows():
    for patch in read_patches(PACKAGED / TABLE):
        assert len(patch.land_cover.split()) >= 1
        assert patch.source in ("BigEarthNet v2", "SEN12MS-CR")
        assert (patch.source == "SEN12MS-CR") == patch.patch.startswith("glfcr_")


_UNITS = {
    "linear power": lambda db: 10.0 ** (db / 10.0),
    "amplitude": lambda db: 10.0 ** (db / 20.0),
    "digital numbers": lambda db: np.rint(10.0 ** ((db + 45.0) / 20.0)),
    "scaled power": lambda db: np.rint(1e4 * 10.0 ** (db / 10.0)),
}
_TO_DB = {"linear power": lambda v: 10.0 * np.log10(v), "amplitude": lambda v: 20.0 * np.log10(v)}


def _write(path: Path, values: np.ndarray, dtype: str) -> None:
    with rasterio.open(path) as dataset:
        profile = dataset.profile
    kept = {key: profile[key] for key in ("crs", "transform", "width", "height", "count")}
    with rasterio.open(
        path, "w", driver="GTiff", dtype=dtype, nodata=0 if dtype == "uint16" else np.nan, **kept
    ) as out:
        out.write(values.astype(dtype))


@pytest.mark.parametrize("units", list(_UNITS))
def test_a_patch_in_other_units_than_db_is_refused_by_name_and_the_advice_works(copy: Path, units: str):
    """Such values would be clipped to the brightest dB, and every patch would be scored as dry land."""
    whole = units in ("digital numbers", "scaled power")
    for ref in RealLand(copy).chips("train"):
        before = read_chip(ref)
        values = _UNITS[units](before.db.astype(float))
        _write(ref.image, np.nan_to_num(values) if whole else values, "uint16" if whole else "float32")
        with pytest.raises(InputError, match="in dB") as caught:
            read_chip(ref)
        assert caught.value.subject == str(ref.image)
        assert ref.chip_id in caught.value.problem
        if units in _TO_DB:
            _write(ref.image, _TO_DB[units](values), "float32")
            np.testing.assert_allclose(read_chip(ref).db, before.db, atol=1e-3)
