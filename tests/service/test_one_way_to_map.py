"""Service, command, Python function and lineage graph make the same map of a scene: the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline import map_scene
from drshym_pipeline.cli import main
from tests.http_service import ExplicitSettings, served
from tests.lineage import Lineage
from tests.small_scenes import write_lake_scene

KINDS = ("mask", "proba", "flood")
NAMES = {"mask": "S1_lake_mask.tif", "proba": "S1_lake_proba.tif", "flood": "S1_lake_flood.geojson"}


@pytest.fixture(scope="module")
def maps(tmp_path_factory, random_bundle) -> dict[str, dict[str, bytes]]:
    """The bytes of the files of one scene by kind, by who has made them."""
    folder = tmp_path_factory.mktemp("ways")
    source = write_lake_scene(folder / "scenes" / "S1_lake.tif", shape=(200, 300))
    checkpoint = Path(random_bundle.save(folder / "bundle"))
    found = {}

    assert main(["segment", str(source), "--out", str(folder / "command"), "--checkpoint", str(checkpoint)]) == 0
    map_scene(source, folder / "function", checkpoint)
    for way in ("command", "function"):
        found[way] = {kind: (folder / way / NAMES[kind]).read_bytes() for kind in KINDS}

    # The tags of a map name its source, so the watched folder is the one that the others map from.
    lineage = Lineage(folder / "home", {"inbox": source.parent})
    lineage.serve(random_bundle)
    results = lineage.map_all()
    assert all(result.success for result in results.values())
    assert results

    settings = ExplicitSettings(
        root=folder / "root",
        input_roots=(source.parent,),
        checkpoint=checkpoint,
        store=lineage.settings.store_path,
        workers=1,
    )
    with served(settings) as client:
        body = {"domain": "flood_sar", "image_uri": source.as_uri()}
        at_once = client.post("/v1/segment", json=body).raise_for_status().json()
        found["service"] = read(client, at_once["outputs"]["links"])
        scene = client.get("/v1/scenes/lineage.S1_lake").raise_for_status().json()
        found["lineage"] = read(client, scene["files"])
        refused = client.delete("/v1/scenes/lineage.S1_lake")
        assert refused.status_code == 409
        assert refused.json()["code"] == "read_only_scene"
    return found


def read(client, links: dict[str, str]) -> dict[str, bytes]:
    return {kind: client.get(links[kind]).raise_for_status().content for kind in KINDS}


@pytest.mark.system
@pytest.mark.parametrize("kind", ["mask", "proba"])
@pytest.mark.parametrize("way", ["command", "service", "lineage"])
def test_the_rasters_of_a_scene_are_the_same_bytes_whoever_maps_it(maps, way, kind):
    assert maps[way][kind] == maps["function"][kind]


@pytest.mark.system
@pytest.mark.parametrize("way", ["command", "service", "lineage"])
def test_the_polygons_of_a_scene_are_the_same_bytes_whoever_maps_it(maps, way):
    assert maps[way]["flood"] == maps["function"]["flood"]
