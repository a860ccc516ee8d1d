"""The small files of a scene: what is known is not read again, and a damaged file is an error that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.scene_folder import MapFolder, SceneFolder


@pytest.fixture
def scene(tmp_path: Path) -> SceneFolder:
    return SceneFolder(tmp_path / "v1")


def written(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def a_map(scene: SceneFolder, manifest: str) -> MapFolder:
    found = scene.map("0123456789ab")
    written(found.manifest, manifest)
    return found


DAMAGED_MANIFESTS = {
    "no files": "{}",
    "no size": '{"files": {"a.tif": {}}}',
    "a word as the size": '{"files": {"a.tif": {"bytes": "many"}}}',
    "a size without a name": '{"files": {"a.tif": 3}}',
    "files as a list": '{"files": ["a.tif"]}',
    "a list": "[]",
    "null": "null",
    "not JSON": '{"files": ',
}


@pytest.mark.parametrize("content", DAMAGED_MANIFESTS.values(), ids=DAMAGED_MANIFESTS.keys())
def test_a_damaged_manifest_is_an_error_with_a_remedy(scene: SceneFolder, content: str):
    found = a_map(scene, content)
    for read in (found.is_complete, scene.finished_maps):
        with pytest.raises(InputError, match=r"manifest\.json: .* Map the scene again"):
            read()
    assert not found.can_be_reused()


def test_a_map_is_complete_when_all_files_of_its_manifest_have_their_size(scene: SceneFolder):
    found = a_map(scene, '{"scene_id": "S1_x", "files": {"a.tif": {"bytes": 3, "sha256": "0"}}}')
    assert not found.is_complete()
    written(found.products / "a.tif", "123")
    assert found.is_complete()
    assert found.can_be_reused()
    written(found.products / "a.tif", "1234")
    assert not found.can_be_reused()


DAMAGED_ARRAYS = {
    "no attributes": "{}",
    "attributes as a list": '{"attributes": []}',
    "no prediction": '{"attributes": {"area_errors": {}}}',
    "prediction as a list": '{"attributes": {"prediction": [], "area_errors": {}}}',
    "a list": "[]",
    "null": "null",
    "not JSON": '{"attributes": ',
}


@pytest.mark.parametrize("content", DAMAGED_ARRAYS.values(), ids=DAMAGED_ARRAYS.keys())
def test_damaged_attributes_of_the_probabilities_are_an_error(scene: SceneFolder, content: str):
    found = scene.tiles("tiles/64-8").prediction("probabilities/x.zarr")
    written(found.attributes_path, content)
    with pytest.raises(InputError, match=r"zarr\.json: .* Run the stage that writes it again"):
        found.read()


@pytest.mark.parametrize("content", ["[1.0]", '{"stage": "long"}', "null", "{"])
def test_damaged_seconds_are_an_error(scene: SceneFolder, content: str):
    written(scene.seconds_path, content)
    with pytest.raises(InputError, match=r"seconds\.json: .* Run the stage that writes it again"):
        scene.seconds()
