"""What the mapped water looks like, in record, page and warnings, on real bare fields and on real sea."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline.assessment.scene_signs import BARE_LIKE, OTHER, WIND_LIKE, signs_of_counts
from drshym_pipeline.datasets.real_land import PACKAGED
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.records import MappedSurfaces, MapRecord
from drshym_pipeline.records.surfaces import MUCH_BARE


def mapped(bundle: ModelBundle, source: Path, out: Path) -> tuple[MapRecord, str]:
    """Map a scene and return its record and its report page."""
    record = map_scene([source], out, bundle, bundle.reference("checkpoint"))
    (page,) = out.glob("*_report.html")
    return record, page.read_text("utf-8")


def test_mapped_pixels_are_counted_by_surface():
    counts = np.zeros((3, 2), np.int64)
    counts[OTHER], counts[WIND_LIKE], counts[BARE_LIKE] = (50, 10), (0, 6), (10, 24)
    signs = signs_of_counts(counts, np.array([0.1, 0.9]), np.array([False, True]))
    assert signs.mapped_surfaces == pytest.approx((0.10, 0.06, 0.24))
    assert sum(signs.mapped_surfaces) == pytest.approx(signs.mapped)


@pytest.mark.parametrize(("share", "warns"), [(0.0, False), (0.3, False), (0.31, True), (1.0, True)])
def test_much_water_that_looks_like_bare_fields_is_a_warning(share: float, warns: bool):
    found = MappedSurfaces(bare_like=share, wind_like=0.0)
    assert (found.warning() is not None) is warns
    assert f"{100 * share:.0f} % like bare fields" in found.text()


def test_a_map_of_bare_fields_says_that_its_water_looks_like_bare_fields(tmp_path: Path, mapping_everything):
    record, page = mapped(mapping_everything, PACKAGED / "ben_7118.tif", tmp_path)
    assert record.mapped_surfaces is not None
    assert record.mapped_surfaces.bare_like > MUCH_BARE
    assert any("backscatter of dry bare fields" in warning for warning in record.warnings)
    assert record.mapped_surfaces.text() in page


def test_a_map_of_the_sea_has_no_such_warning(tmp_path: Path, mapping_everything):
    record, _ = mapped(mapping_everything, PACKAGED / "ben_12798.tif", tmp_path)
    assert record.mapped_surfaces is not None
    assert record.mapped_surfaces.bare_like < 0.1
    assert not any("bare fields" in warning for warning in record.warnings)


def test_vv_alone_cannot_tell_surfaces_apart(tmp_path: Path, mapping_everything):
    source = tmp_path / "S1_vv.tif"
    with rasterio.open(PACKAGED / "ben_7118.tif") as patch:
        profile = {**patch.profile, "count": 1}
        with rasterio.open(source, "w", **profile) as target:
            target.write(patch.read(1), 1)
            target.descriptions = ("VV",)
    record, _ = mapped(mapping_everything, source, tmp_path / "map")
    assert record.mapped_surfaces is None


def test_a_map_without_water_has_no_surfaces(tmp_path: Path, mapping_nothing):
    record, page = mapped(mapping_nothing, PACKAGED / "ben_7118.tif", tmp_path)
    assert record.mapped_surfaces is None
    assert "like bare fields" not in page


@pytest.fixture
def mapping_everything(random_bundle: ModelBundle) -> ModelBundle:
    return with_threshold(random_bundle, 0.0001)


@pytest.fixture
def mapping_nothing(random_bundle: ModelBundle) -> ModelBundle:
    return with_threshold(random_bundle, 0.9999)


def with_threshold(bundle: ModelBundle, threshold: float) -> ModelBundle:
    """Return a bundle with another threshold."""
    calibration = {
        mode: found.model_copy(update={"threshold": threshold}) for mode, found in bundle.calibration.items()
    }
    return ModelBundle.create(
        name=bundle.name,
        version=bundle.version,
        network=bundle.network,
        state=bundle.state(),
        calibration=calibration,
        area_errors=bundle.area_errors,
        card=bundle.card,
        training_sha256=bundle.training_sha256,
    )
