"""SAFE folders and their zips: which files are read, what is refused, and that each is one scene everywhere."""

from __future__ import annotations

import json
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drshym_pipeline.cli import main
from drshym_pipeline.commands.scene_choice import folder_strays
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.sar import archives
from drshym_pipeline.sar.safe_product import is_product_zip_name, product_images
from drshym_pipeline.sar.scene import describe_scene, make_backscatter, stage_scene
from drshym_pipeline.sar.scene_files import list_scenes, scene_paths
from drshym_pipeline.sar.source_files import open_sources
from tests.products.safe_product import PRODUCT, SCENE, SafeOptions, write_safe, zip_safe

SLC = PRODUCT.replace("GRDH", "SLC_")


@pytest.fixture
def safe(tmp_path: Path) -> Path:
    return write_safe(tmp_path / "in")


def opened(path: Path, work: Path) -> list[str]:
    with open_sources([path], work) as found:
        return [file.name for file in found.files]


def refusal(path: Path, work: Path) -> str:
    work.mkdir(exist_ok=True)
    with pytest.raises(InputError) as caught:
        opened(path, work)
    assert list(work.iterdir()) == [], "nothing is left behind"
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- SAFE folders ----------------------------------------------------------------------------------------------------


def test_a_safe_folder_is_its_vv_and_vh_images_and_is_named_after_the_product(safe, tmp_path):
    images = product_images(safe)
    assert [image.name[11:13] for image in images] == ["vv", "vh"]
    for given in (safe, safe / "manifest.safe"):
        with open_sources([given], tmp_path) as found:
            assert found.files == images
            assert found.name == SCENE
    assert opened(safe.rename(tmp_path / "mine"), tmp_path) == [image.name for image in images]


def test_the_cog_copy_of_a_product_is_the_same_scene(tmp_path):
    safe = write_safe(tmp_path, None, SafeOptions(product=f"{PRODUCT[:-4]}C0FF_COG", cog=True))
    with open_sources([safe], tmp_path) as found:
        assert found.name == SCENE
        meta = describe_scene(found.files)
    assert {"denoise:product-noise-table", "calibrate:sigma-nought-table"} < set(meta.processing)


def test_a_product_with_vv_alone_is_read(tmp_path):
    safe = write_safe(tmp_path, None, SafeOptions(product=PRODUCT.replace("1SDV", "1SSV"), polarisations=("VV",)))
    with open_sources([safe], tmp_path) as found:
        assert describe_scene(found.files).mode == "vv"


def make_horizontal(folder: Path) -> Path:
    return write_safe(folder, None, SafeOptions(product=PRODUCT.replace("1SDV", "1SDH"), polarisations=("HH", "HV")))


def make_slc(folder: Path) -> Path:
    safe = folder / f"{SLC}.SAFE"
    (safe / "measurement").mkdir(parents=True)
    for name in ("s1a-iw1-slc-vv-x-001.tiff", "s1a-iw2-slc-vv-x-002.tiff"):
        (safe / "measurement" / name).write_bytes(b"II*\0")
    return safe


def make_renamed_slc(folder: Path) -> Path:
    return make_slc(folder).rename(folder / "mine.SAFE")


def make_ocn(folder: Path) -> Path:
    safe = folder / f"{PRODUCT.replace('GRDH_1S', 'OCN__2S')}.SAFE"
    (safe / "measurement").mkdir(parents=True)
    (safe / "measurement" / "s1a-iw-ocn-vv-x-001.nc").write_bytes(b"CDF")
    return safe


def make_empty(folder: Path) -> Path:
    safe = write_safe(folder)
    shutil.rmtree(safe / "measurement")
    return safe


def make_double(folder: Path) -> Path:
    safe = write_safe(folder)
    image = product_images(safe)[0]
    shutil.copy(image, image.with_name(image.name.replace("-001", "-003")))
    return safe


def make_vh_alone(folder: Path) -> Path:
    safe = write_safe(folder)
    product_images(safe)[0].unlink()
    return safe


def make_unnamed(folder: Path) -> Path:
    safe = write_safe(folder)
    vv, vh = product_images(safe)
    vh.unlink()
    vv.rename(vv.with_name("image.tiff"))
    return safe


WRONG = [
    (make_unnamed, "no image of VV was found in measurement/ (there is image.tiff)", "original names again"),
    (make_horizontal, "contains HH and HV, and no VV", "1SDV or 1SSV"),
    (make_slc, "is an SLC product", "GRD product of the same pass"),
    (make_renamed_slc, "is an SLC product", "GRD product of the same pass"),
    (make_ocn, "is an OCN product", "GRD product of the same pass"),
    (make_empty, "contains no image (measurement/*.tiff)", "Download the product, or unpack it, again"),
    (make_double, "contains 2 images of one polarisation", "Give one of its images"),
    (make_vh_alone, "contains VH, and no VV", "1SDV or 1SSV"),
]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("make", "problem", "remedy"), WRONG)
def test_a_product_that_is_no_scene_is_refused_by_name(
    tmp_path: Path, make: Callable[[Path], Path], problem: str, remedy: str, zipped: bool
):
    safe = make(tmp_path / "in")
    said = refusal(zip_safe(safe) if zipped else safe, tmp_path / "work")
    assert problem in said
    assert remedy in said


def test_the_remedies_of_a_refused_product_work(tmp_path: Path):
    good = write_safe(tmp_path / "good")
    assert len(opened(good, tmp_path)) == 2, "the GRD product, a product with VV, the product unpacked again"
    unnamed = make_unnamed(tmp_path / "unnamed")
    image = unnamed / "measurement" / "image.tiff"
    image.rename(image.with_name(product_images(good)[0].name))
    assert len(opened(unnamed, tmp_path)) == 1, "the original names"
    double = make_double(tmp_path / "double")
    with open_sources([double / "measurement" / product_images(good)[0].name], tmp_path) as found:
        assert describe_scene(found.files).mode == "vv", "one of its images"


def test_an_image_that_is_a_link_is_not_followed(safe: Path, tmp_path: Path):
    image = product_images(safe)[1]
    image.rename(tmp_path / "secret.tiff")
    image.symlink_to(tmp_path / "secret.tiff")
    assert product_images(safe) == product_images(safe)[:1]


def test_a_folder_or_zip_that_cannot_be_read_is_said(safe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = zip_safe(safe)

    def denied(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # Permission bits do not stop root, which tests may run as.
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", denied)
        with pytest.raises(
            InputError, match=r"SAFE: cannot be read \(Permission denied\)\. Give read permission for it"
        ):
            product_images(safe)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", denied)
        with pytest.raises(InputError, match=r"zip: cannot be read \(Permission denied\)\. Check its permissions"):
            opened(archive, tmp_path)
    assert len(opened(safe, tmp_path)) == len(opened(archive, tmp_path)) == 2


# --- zips ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [f"{PRODUCT}.zip", f"{PRODUCT}.SAFE.zip", "mine.zip", "MINE.ZIP"])
def test_a_zip_is_read_as_its_folder_and_its_files_are_deleted_afterwards(safe: Path, tmp_path: Path, name: str):
    path, work = zip_safe(safe, tmp_path / name), tmp_path / "work"
    work.mkdir()
    with open_sources([path], work) as found:
        assert [file.name for file in found.files] == [file.name for file in product_images(safe)]
        assert found.uris == (path.as_uri(),)
        meta = describe_scene(found.files)
        written = [file for file in work.rglob("*") if file.is_file()]
        assert len(written) == 8, "two images, each with its calibration, noise and annotation, and no other file"
    assert list(work.iterdir()) == []
    assert meta.version == describe_scene(product_images(safe)).version


def test_a_zip_without_entries_for_folders_is_read(safe: Path, tmp_path: Path):
    path = tmp_path / "flat.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in safe.rglob("*"):
            if file.is_file():
                archive.write(file, file.relative_to(safe.parent))
    assert len(opened(path, tmp_path)) == 2


def with_entry(path: Path, name: str, content: bytes = b"x", mode: int = stat.S_IFREG | 0o644) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        archive.writestr(entry, content)


def encrypt(path: Path) -> None:
    """Set the flag of encryption in all headers, as an encrypted zip has it."""
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + offset] |= 1
            place = content.find(signature, place + 4)
    path.write_bytes(content)


def claim(path: Path, size: int, *, everywhere: bool = True) -> None:
    """Write another unpacked size of the first image into the list of the entries."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("-001.tiff")).encode()
    place = content.rfind(name)
    struct.pack_into("<I", content, place - 46 + 24, size)
    if everywhere:
        struct.pack_into("<I", content, content.find(name) - 30 + 22, size)
    path.write_bytes(content)


def fewest(patch: pytest.MonkeyPatch, name: str, value: int) -> None:
    patch.setattr(archives, name, value)


BAD_ZIPS: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], Any], str]] = {
    "cut short": (lambda path, _: path.write_bytes(path.read_bytes()[:-2000]), "incomplete"),
    "empty": (lambda path, _: path.write_bytes(b""), "incomplete"),
    "nothing in it": (lambda path, _: zipfile.ZipFile(path, "w").close(), "contains no .SAFE folder"),
    "no zip": (lambda path, _: path.write_bytes(b"no zip at all" * 100), "is not a zip"),
    "another file": (lambda path, _: with_entry(path, "readme.txt"), "does not contain one .SAFE folder alone"),
    "macOS": (lambda path, _: with_entry(path, "__MACOSX/x"), "does not contain one .SAFE folder alone"),
    "two products": (lambda path, _: with_entry(path, "S1B.SAFE/x"), "more than one product"),
    "parent": (lambda path, _: with_entry(path, f"{PRODUCT}.SAFE/../../x"), "a path that leads out of it"),
    "absolute": (lambda path, _: with_entry(path, "/etc/x"), "a path that leads out of it"),
    "drive": (lambda path, _: with_entry(path, "C:/x"), "a path that leads out of it"),
    "backslash": (lambda path, _: with_entry(path, f"{PRODUCT}.SAFE\\..\\x"), "a path that leads out of it"),
    "link": (
        lambda path, _: with_entry(path, f"{PRODUCT}.SAFE/link", b"/etc/passwd", stat.S_IFLNK | 0o777),
        "a link or a device",
    ),
    "twice": (lambda path, _: with_entry(path, f"{PRODUCT}.SAFE/MANIFEST.safe"), "contains a file twice"),
    "encrypted": (lambda path, _: encrypt(path), "is encrypted"),
    "too many": (lambda _, patch: fewest(patch, "MAX_ENTRIES", 5), "more than 5"),
    "long list": (lambda _, patch: fewest(patch, "_MAX_DIRECTORY_BYTES", 500), "files, more than"),
    "too large": (lambda _, patch: fewest(patch, "MAX_UNPACKED_BYTES", 1000), "when unpacked, more than"),
    "bomb in the header": (lambda path, _: claim(path, (1 << 32) - 2), "bytes claim to be"),
    "bomb in the data": (lambda path, _: claim(path, 1000), "damaged or cut short"),
    "short data": (lambda path, _: claim(path, 70_000), "than the zip says"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", BAD_ZIPS)
def test_a_zip_that_is_not_safe_is_refused_in_one_line_and_nothing_is_left(
    safe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    change, problem = BAD_ZIPS[name]
    path = zip_safe(safe)
    with monkeypatch.context() as patch:
        change(path, patch)
        said = refusal(path, tmp_path / "work")
    assert problem in said
    # The remedies: a new download, the folder alone in a zip, the unpacked folder.
    assert any(words in said for words in ("Download or copy it again", "nothing else", "give the .SAFE folder"))
    assert len(opened(zip_safe(safe), tmp_path)) == len(opened(safe, tmp_path)) == 2


def test_an_unusual_compression_is_refused_with_a_remedy_that_works(safe: Path, tmp_path: Path):
    path = tmp_path / "lzma.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for file in safe.rglob("*"):
            archive.write(file, file.relative_to(safe.parent))
    assert "Unpack it and give the .SAFE folder" in refusal(path, tmp_path / "work")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert len(opened(tmp_path / "unpacked" / safe.name, tmp_path)) == 2


def test_a_garbled_image_in_a_zip_is_refused(safe: Path, tmp_path: Path):
    path = zip_safe(safe)
    content = bytearray(path.read_bytes())
    place = content.find(b"-001.tiff") + 2000
    content[place : place + 200] = bytes(200)
    path.write_bytes(content)
    assert "damaged" in refusal(path, tmp_path / "work")


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, random_bundle: ModelBundle) -> Path:
    return Path(random_bundle.save(tmp_path_factory.mktemp("model") / "bundle"))


def run(capfd: pytest.CaptureFixture[str], *command: object) -> tuple[int, dict[str, Any]]:
    code = main([*map(str, command), "--tile", "64", "--overlap", "8", "--json"])
    return code, json.loads(capfd.readouterr().out)


@pytest.mark.parametrize("zipped", [False, True])
def test_segment_maps_a_product_and_leaves_only_its_map(capfd, safe: Path, tmp_path: Path, checkpoint, zipped: bool):
    source, out = zip_safe(safe) if zipped else safe, tmp_path / "out"
    code, printed = run(capfd, "segment", source, "--out", out, "--checkpoint", checkpoint)
    assert code == 0
    ((record,),) = [[scene["record"] for scene in printed["maps"]]]
    assert record["scene_id"] == SCENE
    assert all(path.name.startswith(SCENE) for path in out.iterdir())
    (uri, *_) = record["source_uris"]
    assert uri == (source.as_uri() if zipped else product_images(safe)[0].as_uri())


def test_the_switch_and_the_side_car_give_another_version_of_the_map(capfd, safe: Path, tmp_path: Path, checkpoint):
    def version(name: str, *options: str) -> str:
        code, printed = run(capfd, "segment", safe, "--out", tmp_path / name, "--checkpoint", checkpoint, *options)
        assert code == 0
        return str(printed["maps"][0]["record"]["map_version"])

    plain, off = version("plain"), version("off", "--no-denoise")
    (safe.parent / f"{PRODUCT}.drshym.json").write_text('{"denoise": false}', "utf-8")
    assert version("side-car") == off != plain


def test_predict_folder_maps_products_beside_other_scenes_once_each(capfd, safe: Path, tmp_path: Path, checkpoint):
    folder = safe.parent
    other = write_safe(tmp_path, None, SafeOptions(product=PRODUCT.replace("0111", "0112")))
    zip_safe(other, folder / "sub.zip").rename(folder / f"{other.stem}.zip")
    shutil.copy(product_images(other)[0], folder / "alone.tiff")
    (folder / "photos.zip").write_bytes(b"x")
    make_slc(folder / "sub")
    code, printed = run(capfd, "predict-folder", "--in", folder, "--out", folder / "maps", "--ckpt", checkpoint)
    names = [scene["record"]["scene_id"] for scene in printed["maps"]]
    assert sorted(names) == sorted([SCENE, SCENE.replace("0111", "0112"), "alone"])
    ((failure,),) = [printed["failures"]]
    assert "is an SLC product" in failure["problem"]
    assert code == 3
    assert not list(folder.rglob(".partial-*"))
    shutil.rmtree(folder / "sub")
    again = ["predict-folder", "--in", folder, "--out", folder / "maps", "--ckpt", checkpoint, "--overwrite"]
    code, printed = run(capfd, *again)
    assert (code, len(printed["maps"])) == (0, 3), "maps of products in the folder are not scenes"


@pytest.mark.parametrize("part", [".", "measurement"])
def test_predict_folder_on_a_product_itself_maps_it_as_one_scene(capfd, safe: Path, tmp_path: Path, checkpoint, part):
    code, printed = run(capfd, "predict-folder", "--in", safe / part, "--out", tmp_path / "out", "--ckpt", checkpoint)
    assert code == 0
    ((record,),) = [[scene["record"] for scene in printed["maps"]]]
    assert record["scene_id"] == SCENE
    assert (tmp_path / "out" / f"{SCENE}_mask.tif").is_file()


def test_a_product_and_its_zip_in_one_folder_have_two_names(capfd, safe: Path, tmp_path: Path, checkpoint):
    zip_safe(safe)
    code, printed = run(capfd, "predict-folder", "--in", safe.parent, "--out", tmp_path / "out", "--ckpt", checkpoint)
    assert code == 0
    assert len({scene["record"]["scene_id"] for scene in printed["maps"]}) == 2


def test_a_zip_is_cut_into_chips_and_nothing_else_is_left(safe: Path, tmp_path: Path):
    out = tmp_path / "chips"
    assert main(["tile", str(zip_safe(safe)), "--out", str(out), "--tile", "128", "--overlap", "16"]) == 0
    assert {path.suffix for path in out.iterdir()} == {".tif", ".json"}
    assert all(path.name.startswith(SCENE) for path in out.iterdir())
    assert not list(tmp_path.glob(".partial-*"))


# --- staged scenes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copy", [True, False])
def test_a_zip_is_staged_and_its_backscatter_can_be_made_again(safe: Path, tmp_path: Path, copy: bool):
    path, root = zip_safe(safe), tmp_path / "scenes"
    meta, directory = stage_scene([path], root, copy=copy)
    assert meta.scene_id == SCENE
    assert meta.source_uris == (path.as_uri(),)
    assert meta.archive == (f"source/{path.name}" if copy else str(path))
    assert meta.source_paths == (meta.archive,)
    assert meta.version == stage_scene([safe], tmp_path / "other")[0].version
    stored = directory / "backscatter.tif"
    before = stored.read_bytes()
    stored.unlink()
    if copy:
        path.unlink()
    assert make_backscatter(meta, directory).read_bytes() == before
    assert sorted(file.name for file in directory.iterdir() if file.name.startswith(".")) == []
    again, same = stage_scene([directory / meta.archive], root, copy=copy)
    assert (again.version, same) == (meta.version, directory)


def test_a_zip_that_is_gone_or_another_one_is_said(safe: Path, tmp_path: Path):
    path = zip_safe(safe)
    meta, directory = stage_scene([path], tmp_path / "scenes", copy=False)
    (directory / "backscatter.tif").unlink()
    zip_safe(write_safe(tmp_path / "new", np.full((2, 160, 160), -10.0)), path)
    with pytest.raises(InputError, match="has changed since the scene was staged"):
        make_backscatter(meta, directory)
    path.unlink()
    with pytest.raises(InputError, match="no longer exists"):
        make_backscatter(meta, directory)


# --- folders ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "product"),
    [
        (f"{PRODUCT}.zip", True),
        (f"{PRODUCT}.SAFE.zip", True),
        (f"{PRODUCT}_COG.zip", True),
        (f"{PRODUCT} (1).zip", True),
        (f"{SLC}.zip", True),
        (f"{PRODUCT}_light.zip", False),
        (f"{SCENE}_light.zip", False),
        ("S1A_IW_20210111T002146_DVP_RTC10_G_gpuned_A1B2.zip", False),
        ("photos.zip", False),
        (f"{PRODUCT}.zip.part", False),
    ],
)
def test_the_zips_of_products_are_known_by_their_names(name: str, product: bool):
    assert is_product_zip_name(name) == product


def test_a_folder_lists_each_product_once(safe: Path, tmp_path: Path):
    folder = safe.parent
    archive = zip_safe(safe, folder / "sub.zip").rename(folder / f"{PRODUCT[:-4]}0000.zip")
    (folder / "photos.zip").write_bytes(b"x")
    (safe / "preview" / "quick-look.tif").write_bytes(b"x")
    assert scene_paths(folder, tmp_path / "out") == sorted([safe, archive])
    ignored: list[str] = []
    keys = [file.key for file in list_scenes(folder, lambda _: None, ignored.append)]
    assert ignored == ["photos.zip"]
    assert sorted(keys) == sorted(
        [archive.name]
        + [
            file.relative_to(folder).as_posix()
            for pattern in ("measurement/*", "annotation/*.xml", "annotation/calibration/*")
            for file in safe.glob(pattern)
        ]
    )


def test_a_raster_that_is_saved_in_a_product_is_named_and_not_mapped(safe: Path, tmp_path: Path):
    folder = safe.parent
    for name in ("Orb_Cal_TC.tif", "results/flood.TIFF", "preview/quick-look.tif"):
        (safe / name).parent.mkdir(exist_ok=True)
        (safe / name).write_bytes(b"x")
    ignored: list[str] = []
    list_scenes(folder, lambda _: None, ignored.append)
    strays = [f"{safe.name}/Orb_Cal_TC.tif", f"{safe.name}/results/flood.TIFF"]
    assert ignored == [f"{key} (inside a product, and none of its images)" for key in strays]
    assert folder_strays(folder, tmp_path / "out") == strays
    assert scene_paths(folder, tmp_path / "out") == [safe]


def test_products_of_other_kinds_are_named_and_not_listed(tmp_path: Path):
    make_slc(tmp_path)
    make_ocn(tmp_path)
    (tmp_path / f"{SLC}.zip").write_bytes(b"x")
    ignored: list[str] = []
    assert list_scenes(tmp_path, lambda _: None, ignored.append) == ()
    assert len(ignored) == 3
    assert f"{SLC}.SAFE (an SLC product; only ground-range products (GRD) are mapped)" in ignored


def test_a_table_that_is_a_link_is_not_listed(safe: Path):
    table = next(safe.glob("annotation/calibration/noise-*"))
    table.symlink_to(table.rename(safe / "elsewhere"))
    keys = [file.key for file in list_scenes(safe.parent)]
    assert not any(table.name in key for key in keys)
