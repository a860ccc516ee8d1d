"""The layout of simulated land: parcels are whole, roads join settlements, rivers bend, floods follow the river."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from drshym_pipeline.datasets.simulator.fields import FIELD_CODES, WILD_CODE, Fields, by_field, make_fields, parcel_mean
from drshym_pipeline.datasets.simulator.landcover import BARE, BUILT, CROP, GRASS, LandCover, make_landcover
from drshym_pipeline.datasets.simulator.rivers import distance_to, meander, raster_of, river_lines
from drshym_pipeline.datasets.simulator.roads import make_network
from drshym_pipeline.datasets.simulator.scene import generator, simulate_scene
from drshym_pipeline.datasets.simulator.terrain import Terrain, make_terrain

SHAPE = (192, 224)


@dataclass(frozen=True)
class Land:
    terrain: Terrain
    fields: Fields
    cover: LandCover


def make_land(seed: int, shape: tuple[int, int] = SHAPE, *, has_river: bool = True) -> Land:
    rng = generator(90, seed)
    terrain = make_terrain(rng, shape, 20.0, has_river=has_river)
    fields = make_fields(rng, shape, terrain)
    terrain = terrain.with_steps(fields.step)
    cover = make_landcover(rng, terrain, fields, np.zeros(shape, np.float32), hard=False)
    return Land(terrain, fields, cover)


@pytest.fixture(scope="module")
def lands():
    return [make_land(seed) for seed in range(40)]


def test_a_parcel_has_one_code_and_land_without_fields_has_the_code_for_it(lands):
    for land in lands:
        fields = land.fields
        assert fields.code.min() >= 0
        assert fields.code.max() < FIELD_CODES
        assert (fields.code[fields.wild] == WILD_CODE).all()
        assert (fields.step[fields.wild] == 0).all()
        tilled = ~fields.wild
        assert (fields.code[tilled] != WILD_CODE).all()
        for number in np.unique(fields.parcel[tilled])[:40]:
            # Two distant parcels can have the same number.
            assert len(np.unique(fields.code[tilled & (fields.parcel == number)])) <= 2


def test_bare_and_tilled_ground_is_whole_parcels(lands):
    checked = bare = 0
    for land in lands:
        fields, classes = land.fields, land.cover.classes
        # Hedges, houses, reed and river banks are drawn over the parcels.
        tilled = ~fields.wild & np.isin(classes, (CROP, GRASS, BARE)) & (land.terrain.river_distance > 20)
        for code in np.unique(fields.code[tilled])[:60]:
            found = np.unique(classes[tilled & (fields.code == code)])
            assert len(found) == 1
            checked += 1
            bare += found[0] == BARE
    assert checked > 500
    assert bare > 20


def test_sizes_of_parcels_differ_from_region_to_region(lands):
    sizes = []
    for land in lands:
        tilled = ~land.fields.wild
        if tilled.mean() > 0.5:
            sizes.append(np.median(np.unique(land.fields.parcel[tilled], return_counts=True)[1]))
    assert min(sizes) < 60  # 0.6 ha
    assert max(sizes) > 600  # 6 ha


def test_not_every_scene_is_farmed(lands):
    farmed = np.array([(~land.fields.wild).mean() for land in lands])
    assert 0.3 < (farmed > 0.7).mean() < 0.8
    assert (farmed < 0.3).mean() > 0.1
    assert len({land.fields.kind for land in lands}) >= 4


def test_the_mean_of_a_parcel_is_the_mean_of_its_pixels():
    rng = generator(91)
    parcel = rng.integers(0, 30, (20, 25)).astype(np.int32)
    values = rng.normal(size=(20, 25)).astype(np.float32)
    means = parcel_mean(parcel, values)
    for number in np.unique(parcel):
        np.testing.assert_allclose(means[parcel == number], values[parcel == number].mean(), rtol=1e-4, atol=1e-6)


def test_neighbouring_fields_have_the_same_crop_more_often_than_distant_fields(lands):
    rng = generator(92)
    beside, distant = [], []
    for land in lands:
        fields = land.fields
        value, tilled = by_field(rng, fields, 1.0, crops=6), ~fields.wild
        pair = (fields.code[:, 1:] != fields.code[:, :-1]) & tilled[:, 1:] & tilled[:, :-1]
        # Two fields of one crop differ by a fifth of the spread among the crops.
        beside.append((np.abs(value[:, 1:] - value[:, :-1]) < 0.3)[pair])
        drawn = rng.choice(value[tilled], (2, int(pair.sum())))
        distant.append(np.abs(drawn[0] - drawn[1]) < 0.3)
    assert np.concatenate(beside).mean() > np.concatenate(distant).mean() + 0.03


def test_roads_of_a_survey_are_at_right_angles_and_those_of_old_land_are_not():
    none = np.zeros((0, 2))
    for seed, regular in ((1, True), (2, True), (3, False), (4, False)):
        network = make_network(generator(93, seed), SHAPE, spacing=80.0, regular=regular, course=none, through=1)
        across = np.abs((network.angle[:, None] - network.angle + np.pi / 4) % (np.pi / 2) - np.pi / 4)
        assert (across.max() < np.deg2rad(3)) == regular


def test_roads_are_connected_and_main_roads_are_roads():
    for seed in range(8):
        network = make_network(
            generator(94, seed), SHAPE, spacing=70.0, regular=False, course=np.zeros((0, 2)), through=2
        )
        assert not (network.main_roads & ~network.roads).any()
        assert (network.distance[network.roads] == 0).all()
        # A road never ends in open land: every piece reaches a settlement or the border of the scene.
        parts, count = ndimage.label(network.roads, np.ones((3, 3)))
        places = np.round(network.places).astype(int)
        inside = places[((places >= 1) & (places < np.array(SHAPE) - 1)).all(axis=1)]
        ends = np.zeros(SHAPE, bool)
        ends[0], ends[-1], ends[:, 0], ends[:, -1] = True, True, True, True
        ends[inside[:, 0], inside[:, 1]] = True
        assert set(np.unique(parts[ends])) >= set(range(1, count + 1))


def test_houses_are_near_roads(lands):
    near, anywhere = [], []
    for land in lands:
        built = land.cover.classes == BUILT
        if built.sum() > 30:
            near.append(np.median(land.fields.network.distance[built]))
            anywhere.append(np.median(land.fields.network.distance))
    assert len(near) > 8
    assert np.mean(near) < 0.6 * np.mean(anywhere)


def test_rivers_bend_and_keep_the_direction_of_their_valley():
    for seed in range(20):
        line = meander(generator(95, seed), 4000.0, 100.0, 1.2, 0.7)
        steps = np.hypot(*np.diff(line, axis=0).T)
        assert steps.max() < 1.0  # no gaps when it is drawn
        run = line[-1] - line[0]
        sinuosity = steps.sum() / np.hypot(*run)
        assert 1.15 < sinuosity < 4.0
        assert abs(np.arctan2(*run) - 0.7) < 0.5


def test_side_channels_leave_islands_and_all_channels_are_one_river():
    islands = 0
    for seed in range(12):
        rng = generator(96, seed)
        lines = river_lines(rng, (300, 300), 120.0, 3)
        assert len(lines) == 3
        away = np.hypot(*(lines[1] - lines[0]).T)
        assert 2.0 < np.median(away) < 60.0
        # The distance between two channels becomes small again and again: they meet.
        turns = np.diff(np.sign(((lines[1] - lines[0]) * np.gradient(lines[0], axis=0)[:, ::-1] * [1, -1]).sum(axis=1)))
        assert (turns != 0).sum() >= 2
        bed = np.zeros((300, 300), bool)
        for line in lines:
            distance = distance_to(line, (300, 300), margin=24)
            bed |= distance < 3.0 if distance is not None else False
        holes, _ = ndimage.label(~bed)
        border = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
        islands += len(np.setdiff1d(np.unique(holes), border))
    assert islands > 12


def test_the_distance_to_a_line_outside_the_scene_is_measured_within_the_margin():
    line = np.stack([np.full(40, -5.0), np.arange(40.0)], axis=1)
    assert distance_to(line, (20, 40), margin=0) is None
    distance = distance_to(line, (20, 40), margin=8)
    assert distance is not None
    np.testing.assert_allclose(distance[:, 20], np.arange(5.0, 25.0), atol=1e-5)
    assert raster_of(line, (20, 40), 8).sum() == 40


def test_steps_between_fields_leave_the_river_bed_alone(lands):
    for land in lands:
        before, step = land.terrain, np.full(SHAPE, 0.5, np.float32)
        after = before.with_steps(step)
        np.testing.assert_array_equal(after.above_river[before.river], before.above_river[before.river])
        np.testing.assert_allclose(after.above_river[~before.river], before.above_river[~before.river] + 0.5)


def test_floods_follow_the_river():
    closer = []
    for seed in range(40):
        scene = simulate_scene(seed, 128, 128, nodata_border=False, flood_share=0.15)
        if not scene.permanent_water.any() or scene.flood.sum() < 100:
            continue
        away = ndimage.distance_transform_edt(~scene.permanent_water)
        dry = ~scene.flood & ~scene.permanent_water
        closer.append(away[scene.flood].mean() < away[dry].mean())
    assert len(closer) > 10
    assert np.mean(closer) > 0.8


@pytest.mark.parametrize("shape", [(16, 16), (16, 200), (301, 17)])
def test_small_and_narrow_scenes_have_land_too(shape):
    for seed in range(25):
        land = make_land(seed, shape, has_river=seed % 2 == 0)
        assert land.fields.code.shape == land.cover.classes.shape == shape
        assert np.isfinite(land.terrain.above_river).all()
