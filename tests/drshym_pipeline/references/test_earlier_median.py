"""The median of earlier maps as the reference: real scenes, mapped in stages, and their probability files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import rasterio
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from assets.scene_faults import map_faults
from drshym_pipeline import stages
from drshym_pipeline.model.bundle import shipped_bundle
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.references.earlier_maps import NO_VALUE, choose_earlier
from drshym_pipeline.references.earlier_median import EarlierReference, lower_median
from drshym_pipeline.references.mapped_scenes import MappedScene, read_mapped_scene
from drshym_pipeline.references.reference_plan import ReferencePlan
from drshym_pipeline.sar.sidecar import SceneSidecar
from drshym_pipeline.scene_folder import MapFolder, PredictionFolder, ProductKind
from drshym_pipeline.scene_store import SceneStore
from drshym_pipeline.storage import sha256_file
from tests.drshym_pipeline.conftest import SceneFile
from tests.products.safe_product import write_image
from tests.units import from_db

TILE, OVERLAP = 96, 24
FLOOD = "S1_20210601T170000"
DRY = {"S1_20210520T170000": 7, "S1_20210508T170000": 8, "S1_20210426T170000": 9}
EARLIER_FLOOD = "S1_20210414T170000"


class Store:
    """A store of small scenes, mapped in stages by the shipped model."""

    def __init__(self, root: Path, scene_file: SceneFile) -> None:
        self.scenes, self._inbox, self._write = SceneStore(root / "store"), root / "inbox", scene_file
        self.bundle = shipped_bundle()
        self.model = self.bundle.reference("shipped")

    def predicted(self, name: str, **options: object) -> PredictionFolder:
        source = self._write(self._inbox / f"{name}.tif", **options)
        folder = stages.stage([source], self.scenes.folder)
        return stages.predict(stages.write_tiles(folder, tile=TILE, overlap=OVERLAP), self.bundle, self.model)

    def mapped(self, name: str, **options: object) -> MappedScene:
        finished = stages.report(stages.stitch(self.predicted(name, **options)))
        self.scenes.set_current(name, finished, None)
        found = read_mapped_scene(self.scenes, name, SceneSidecar())
        assert found is not None
        return found

    def plan(self, predicted: PredictionFolder, others: list[MappedScene]) -> ReferencePlan:
        choice = choose_earlier(predicted.scene.meta(), others, model_sha256=self.model.sha256)
        assert choice.candidates
        return ReferencePlan((EarlierReference(choice),))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, scene_file: SceneFile) -> Store:
    return Store(tmp_path_factory.mktemp("store"), scene_file)


@pytest.fixture(scope="module")
def dry(store: Store) -> list[MappedScene]:
    """Three dates with a small lake."""
    return [store.mapped(name, lake=0.12, seed=seed) for name, seed in DRY.items()]


@pytest.fixture(scope="module")
def flood(store: Store) -> PredictionFolder:
    return store.predicted(FLOOD)


def read(found: MapFolder, kind: ProductKind) -> np.ndarray:
    with rasterio.open(found.product(kind)) as source:
        return source.read(1)


def test_the_mask_has_the_flood_and_the_lake_apart(store, dry, flood):
    drawn = stages.stitch(flood, reference=store.plan(flood, dry), run="median")
    mask = read(drawn, "mask")
    rows, cols = np.mgrid[: mask.shape[0], : mask.shape[1]]
    distance = np.hypot(rows - mask.shape[0] / 2, cols - mask.shape[1] / 2)
    assert (mask[distance < 18] == 2).mean() > 0.9
    assert (mask[(distance > 30) & (distance < 44)] == 1).mean() > 0.9
    probabilities = np.sort([rasterio.open(scene.proba).read(1) for scene in dry], axis=0)
    np.testing.assert_array_equal(read(drawn, "reference"), probabilities[1])
    separation = drawn.stitched().separation
    assert [map_.scene_id for map_ in separation.earlier_maps.maps] == sorted(DRY, reverse=True)
    assert separation.earlier_maps.left_out == ()
    assert separation.earlier_maps.known_pixels == int((mask != 255).sum())
    assert [map_.proba_sha256 for map_ in separation.earlier_maps.maps] == [
        scene.proba_sha256 for scene in sorted(dry, key=lambda scene: scene.name, reverse=True)
    ]


def test_a_flood_among_the_earlier_maps_is_left_out_with_the_reason(store, dry, flood):
    before = store.mapped(EARLIER_FLOOD, lake=0.25, seed=10)
    drawn = stages.stitch(flood, reference=store.plan(flood, [*dry, before]), run="flood")
    earlier = drawn.stitched().separation.earlier_maps
    assert {map_.scene_id for map_ in earlier.maps} == set(DRY)
    (left,) = earlier.left_out
    assert left.scene_id == EARLIER_FLOOD
    assert "far above that of the median of the earlier maps" in left.reason
    assert left.reason in stages.report(drawn).product("report").read_text()


def test_one_earlier_flood_alone_is_not_the_reference_and_the_map_says_why(store, flood):
    before = store.mapped(EARLIER_FLOOD, lake=0.30, seed=10)
    drawn = stages.stitch(flood, reference=store.plan(flood, [before]), run="one")
    summary = drawn.stitched()
    assert summary.separation is None
    assert not summary.water_separated
    assert any("that of the scene itself" in warning for warning in summary.warnings)
    assert summary.reference_note.reason.startswith("No earlier map is the reference of this map (")
    assert not drawn.product("reference").exists()
    assert set(np.unique(read(drawn, "mask"))) == {0, 1, 255}


def test_one_dry_map_alone_is_the_reference_with_a_warning(store, dry, flood):
    drawn = stages.stitch(flood, reference=store.plan(flood, dry[:1]), run="few")
    summary = drawn.stitched()
    assert len(summary.separation.earlier_maps.maps) == 1
    assert any("from 1 earlier map only" in warning for warning in summary.warnings)


def test_a_map_with_the_same_reference_is_reused_and_another_reference_gives_another_version(store, dry, flood):
    plan = store.plan(flood, dry)
    finished = stages.report(stages.stitch(flood, reference=plan, run="first"))
    written = finished.manifest.stat().st_mtime_ns
    again = stages.stitch(flood, reference=store.plan(flood, list(reversed(dry))), run="second")
    assert again.directory == finished.directory
    assert again.manifest.stat().st_mtime_ns == written
    assert stages.stitch(flood, reference=store.plan(flood, dry[:2]), run="other").version != finished.version
    plain = stages.stitch(flood, run="plain")
    assert plain.version not in {finished.version}
    assert plain.stitched().reference_note.key == ""
    assert finished.stitched().reference_note == plan.note


def test_the_probability_file_has_the_same_bytes_with_and_without_a_reference(store, dry, flood):
    compared = stages.stitch(flood, reference=store.plan(flood, dry), run="bytes")
    plain = stages.stitch(flood, run="plain bytes")
    assert compared.version != plain.version
    assert compared.product("proba").read_bytes() == plain.product("proba").read_bytes()
    with rasterio.open(compared.product("mask")) as mask:
        assert mask.tags()["DRSHYM_EARLIER_MAPS"].count("/") == len(dry)


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_file_that_is_not_whole_is_left_out(store, dry, flood, tmp_path, damage):
    broken = tmp_path / "broken.tif"
    if damage == "damaged":
        broken.write_bytes(dry[0].proba.read_bytes()[:3_000])
    # Another hash than that of the test before, whose finished map would be returned.
    others = [replace(dry[0], proba=broken, proba_sha256=damage), *dry[1:]]
    drawn = stages.stitch(flood, reference=store.plan(flood, others), run=damage)
    earlier = drawn.stitched().separation.earlier_maps
    assert {map_.scene_id for map_ in earlier.maps} == {scene.name for scene in dry[1:]}
    assert "its probability file is missing or has changed" in [left.reason for left in earlier.left_out]


def test_maps_on_another_grid_and_over_a_part_of_the_scene_are_moved(store, dry, flood):
    half = store.mapped("S1_20210402T170000", lake=0.12, seed=11, spacing=20.0, shape=(100, 150))
    apart = store.mapped("S1_20210321T170000", lake=0.12, seed=12, origin=(501_500.0, 2_000_000.0))
    drawn = stages.stitch(flood, reference=store.plan(flood, [half, apart]), run="moved")
    reference = read(drawn, "reference")
    assert {map_.scene_id for map_ in drawn.stitched().separation.earlier_maps.maps} == {half.name, apart.name}
    # Its land is the same, so where one of both knows a pixel, the middle of it is dry.
    assert (reference[5:40, 200:290] < 2_000).mean() > 0.95
    assert (reference[:, :10] == NOT_OBSERVED).all()


def test_a_map_that_knows_no_observed_pixel_is_not_named_as_used(store, dry, flood, tmp_path):
    with rasterio.open(dry[0].proba) as source:
        profile, values = source.profile, source.read()
    observed = read(stages.stitch(flood, run="observed"), "mask") != 255
    assert observed.any()
    assert not observed.all()
    values[0] = np.where(observed, NOT_OBSERVED, 100)
    border = tmp_path / "border.tif"
    with rasterio.open(border, "w", **profile) as target:
        target.write(values)
    others = [replace(dry[0], proba=border, proba_sha256=sha256_file(border)), *dry[1:]]
    drawn = stages.stitch(flood, reference=store.plan(flood, others), run="border")
    earlier = drawn.stitched().separation.earlier_maps
    assert {map_.scene_id for map_ in earlier.maps} == {scene.name for scene in dry[1:]}
    assert [(left.scene_id, left.reason) for left in earlier.left_out] == [(dry[0].name, NO_VALUE)]
    assert "from 2 earlier maps only" in " ".join(drawn.stitched().warnings)


def raw_image(path: Path, source: Path) -> Path:
    """Write a scene as digital numbers with control points and no transform."""
    with rasterio.open(source) as scene:
        vv = scene.read(1, out_dtype="float32")
    dn = np.nan_to_num(from_db(vv[np.newaxis], "dn")[0], nan=0.0).round().astype(np.uint16)
    write_image(path, dn)
    return path


def test_images_with_control_points_are_compared_on_the_map(tmp_path, scene_file):
    """One earlier map is compared with the water of the scene itself, whose tiles are not on the map grid."""
    from drshym_pipeline.scene_folder import SceneFolder

    store = Store(tmp_path, scene_file)

    def staged(name: str, **options: float) -> SceneFolder:
        source = scene_file(tmp_path / "db" / f"{name}.tif", **options)
        return stages.stage([raw_image(tmp_path / f"{name}_VV.tif", source)], store.scenes.folder, scene_id=name)

    def predicted(folder: SceneFolder) -> PredictionFolder:
        return stages.predict(stages.write_tiles(folder, tile=TILE, overlap=OVERLAP), store.bundle, store.model)

    finished = stages.report(stages.stitch(predicted(staged("S1_20210520T170000", lake=0.12, seed=7))))
    store.scenes.set_current("S1_20210520T170000", finished, None)
    before = read_mapped_scene(store.scenes, "S1_20210520T170000", SceneSidecar())
    assert before is not None
    now = predicted(staged(FLOOD))
    assert now.scene.meta().georeference == "gcps"
    drawn = stages.stitch(now, reference=store.plan(now, [before]))
    separation = drawn.stitched().separation
    assert [map_.scene_id for map_ in separation.earlier_maps.maps] == [before.name]
    mask, reference = read(drawn, "mask"), read(drawn, "reference")
    assert {0, 1, 2, 255} == set(np.unique(mask))
    assert separation.earlier_maps.known_pixels == int(((mask != 255) & (reference != NOT_OBSERVED)).sum())
    assert map_faults(drawn) == []


SMALL = st.integers(1, 7).flatmap(
    lambda count: arrays.arrays(
        np.uint16, (count, 3, 4), elements=st.one_of(st.just(NOT_OBSERVED), st.integers(0, 10_000))
    )
)


@hypothesis.given(SMALL)
def test_the_median_is_the_lower_middle_of_the_known_values(values):
    found = lower_median([array.copy() for array in values])
    for place in np.ndindex(found.shape):
        known = np.sort([array[place] for array in values if array[place] != NOT_OBSERVED])
        assert found[place] == (known[(len(known) - 1) // 2] if len(known) else NOT_OBSERVED)
