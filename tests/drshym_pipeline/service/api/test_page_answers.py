"""What the page needs from the API beside the files: shares of the mask, words for stages, addresses of tiles."""

from __future__ import annotations

import io

import numpy as np
import pytest
import rasterio

from drshym_pipeline.progress import stage_text
from drshym_pipeline.states import MASK_LEGEND, OPEN_WATER
from tests.http_service import SMALL_TILES, await_job, file_part, problem_of
from tests.small_scenes import write_lake_scene


def raster_of(client, path):
    with rasterio.open(io.BytesIO(client.get(path).raise_for_status().content)) as dataset:
        return dataset.read(1)


def test_the_shares_of_the_states_are_those_of_the_mask_with_what_was_not_observed(client, folder):
    path = write_lake_scene(folder / "scenes" / "with_gap.tif", shape=(80, 100))
    with rasterio.open(path, "r+") as target:
        values = target.read()
        values[:, :20] = np.nan
        target.write(values)
    sent = client.post("/v1/segment/upload", files=[file_part(path)], data={"options": '{"tile": 64, "overlap": 16}'})
    found = client.get(f"/v1/scenes/{sent.raise_for_status().json()['scene_id']}").json()
    mask = raster_of(client, found["files"]["mask"])
    shares = {entry["state"]: entry for entry in found["shares"]}
    assert list(shares) == ["dry", "flooded", "not_observed"]
    assert shares["flooded"]["text"] == OPEN_WATER
    for state, entry in shares.items():
        assert entry["pixels"] == (mask == MASK_LEGEND[state]).sum()
        assert entry["share"] == pytest.approx((mask == MASK_LEGEND[state]).mean())
    assert shares["not_observed"]["share"] >= 0.25
    assert sum(entry["share"] for entry in shares.values()) == pytest.approx(1.0)


def test_a_job_has_the_words_of_its_stage(client, folder):
    path = write_lake_scene(folder / "scenes" / "staged.tif", shape=(70, 90))
    body = {"domain": "flood_sar", "image_uri": path.as_uri(), "options": SMALL_TILES, "wait": False}
    job = await_job(client, client.post("/v1/segment", json=body).raise_for_status().headers["Location"])
    assert job["stage_text"] == stage_text(job["stage"]) != job["stage"]


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:81", "LOCALHOST:80"])
def test_the_addresses_of_tiles_are_complete_and_those_of_the_request(client, answer, host):
    found = client.get("/v1/scenes/S1_scene_001/tiles/mask.json", headers={"Host": host}).raise_for_status().json()
    assert found["tiles"] == [f"http://{host.lower()}/v1/scenes/S1_scene_001/tiles/mask/{{z}}/{{x}}/{{y}}.png"]


@pytest.mark.parametrize("host", ["127.0.0.1:80@other.example", "localhost:80/path", "localhost:1?x", "localhost:x"])
def test_a_host_with_more_than_a_name_and_a_port_never_gets_into_an_address(client, answer, host):
    problem_of(client.get("/v1/scenes/S1_scene_001/tiles/mask.json", headers={"Host": host}), 400, "malformed_request")
