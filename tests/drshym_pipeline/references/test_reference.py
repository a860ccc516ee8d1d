"""The probability of water before an event from several sources."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.records import EarlierMap, EarlierMaps, MapGrid, ReferenceLayer, ReferenceSources
from drshym_pipeline.references.reference import ReferenceWater, combined, new_reference_raster

GRID = MapGrid(crs="EPSG:32633", transform=(10.0, 0.0, 5e5, 0.0, -10.0, 5e6), height=2, width=3)
LAYER = ReferenceLayer(name="reference_water", title="a layer", tiles=(), known_pixels=3)
EARLIER = EarlierMaps(
    maps=(
        EarlierMap(
            scene_id="S1_a",
            map_version="0123456789ab",
            acquired_at=datetime(2021, 1, 1, tzinfo=UTC),
            orbit_direction=None,
            relative_orbit=None,
            proba_sha256="0" * 64,
        ),
    ),
    known_pixels=2,
)


def reference(path: Path, values: list[list[int]], sources: ReferenceSources, name: str) -> ReferenceWater:
    with new_reference_raster(path, GRID) as target:
        target.write(np.array(values, np.uint16), 1)
    return ReferenceWater(path, sources, {name: {"version": name}}, (f"{name} warns.",))


def test_a_pixel_has_the_value_of_the_first_reference_that_knows_it(tmp_path: Path) -> None:
    none = NOT_OBSERVED
    earlier = reference(
        tmp_path / "a.tif", [[1, none, 3], [none, 5, none]], ReferenceSources(earlier_maps=EARLIER), "earlier_maps"
    )
    layer = reference(tmp_path / "b.tif", [[9, 8, 7], [none, 6, 10_000]], ReferenceSources(layers=(LAYER,)), "layers")
    both = combined([earlier, layer], GRID, tmp_path / "both.tif")
    with rasterio.open(both.raster) as raster:
        np.testing.assert_array_equal(raster.read(1), [[1, 8, 3], [none, 5, 10_000]])
        assert raster.nodata == NOT_OBSERVED and raster.crs == GRID.crs
    assert both.sources == ReferenceSources(earlier_maps=EARLIER, layers=(LAYER,))
    assert set(both.identity) == {"earlier_maps", "layers"}
    assert both.warnings == ("earlier_maps warns.", "layers warns.")


@pytest.mark.parametrize("name", ["earlier_maps", "layers"])
def test_one_reference_is_used_as_it_is(tmp_path: Path, name: str) -> None:
    alone = reference(tmp_path / "a.tif", [[1, 2, 3], [4, 5, 6]], ReferenceSources(layers=(LAYER,)), name)
    assert combined([alone], GRID, tmp_path / "unused.tif") is alone
    assert not (tmp_path / "unused.tif").exists()
