"""Cases about the position of a scene on the Earth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from click.testing import CliRunner
from rasterio.control import GroundControlPoint
from rasterio.rio.main import main_group

from tests.remedy_cases.case import CLEAN, Case, Request, Write, case, whole

MOON = 'GEOGCS["Moon",DATUM["Moon",SPHEROID["Moon",1737400,0]],PRIMEM["Reference",0],UNIT["degree",0.0174532925199433]]'
CORNERS = [(0, 0), (0, 160), (160, 0), (160, 160)]


def with_points(write: Write, places: list[tuple[float, float]], crs: str | None = "EPSG:4326") -> Case:
    """Return the case of a file with control points at (longitude, latitude) for its four corners."""
    points = [
        GroundControlPoint(row, col, x, y, 0.0)
        for (row, col), (x, y) in zip(CORNERS[: len(places)], places, strict=True)
    ]
    path = write(CLEAN, "S1_a.tif", crs=None, transform=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, rasterio.crs.CRS.from_user_input(crs) if crs else rasterio.crs.CRS())
    return Case(Request([path]), "Georeference it first", [whole(write)])


@case
def _no_georeference(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif", crs=None, transform=None)
    return Case(Request([path]), "Georeference it first", [whole(write)])


@case
def _local_crs(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif", crs='LOCAL_CS["site grid",UNIT["metre",1]]')
    return Case(Request([path]), "Georeference it again in a CRS of the Earth", [whole(write)])


@case
def _crs_of_another_planet(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif", crs=MOON, transform=rasterio.Affine(1e-4, 0, 12, 0, -1e-4, 45))
    return Case(Request([path]), "Georeference it again in a CRS of the Earth", [whole(write)])


@case
def _metres_as_degrees(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path, copy = (write(CLEAN, name, crs="EPSG:4326") for name in ("S1_a.tif", "S1_b.tif"))
    done = CliRunner().invoke(main_group, ["edit-info", "--crs", "EPSG:32630", str(copy)])
    assert done.exit_code == 0, done.output
    return Case(Request([path]), "(rio edit-info --crs EPSG:n FILE)", [Request([copy])])


@case
def _degrees_as_metres(write: Write, patch: pytest.MonkeyPatch) -> Case:
    degrees = Affine(1e-4, 0.0, 77.2, 0.0, -1e-4, 23.1)
    path, copy = (write(CLEAN, name, crs="EPSG:32643", transform=degrees) for name in ("S1_a.tif", "S1_b.tif"))
    done = CliRunner().invoke(main_group, ["edit-info", "--crs", "EPSG:4326", str(copy)])
    assert done.exit_code == 0, done.output
    return Case(Request([path]), "(rio edit-info --crs EPSG:n FILE)", [Request([copy])])


@case
def _points_without_crs(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return with_points(write, [(12.0, 45.0), (12.02, 45.0), (12.0, 44.99), (12.02, 44.99)], crs=None)


@case
def _points_beyond_the_pole(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return with_points(write, [(12.0, 88.0), (12.02, 88.0), (12.0, 87.99), (12.02, 87.99)])


@case
def _points_on_a_line(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return with_points(write, [(12.0, 45.0)] * 4)


@case
def _points_in_one_row(write: Write, patch: pytest.MonkeyPatch) -> Case:
    case = with_points(write, [(12.0, 45.0), (12.02, 45.0), (12.0, 44.99), (12.02, 44.99)])
    with rasterio.open(case.refused.paths[0], "r+") as dataset:
        points, crs = dataset.gcps
        dataset.gcps = ([GroundControlPoint(80, point.col, point.x, point.y, 0.0) for point in points], crs)
    return case


@case
def _points_on_a_map_line(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return with_points(write, [(12.0, 45.0), (12.02, 45.0), (12.0, 45.0), (12.02, 45.0)])


@case
def _points_around_the_world(write: Write, patch: pytest.MonkeyPatch) -> Case:
    case = with_points(write, [(12.0, 45.0), (12.02, 45.0), (12.0, 44.99), (12.02, 44.99)])
    path = case.refused.paths[0]
    with rasterio.open(path, "r+") as dataset:
        points, crs = dataset.gcps
        dataset.gcps = ([*points, GroundControlPoint(80, 80, 15.0, 47.0, 0.0)], crs)
    return case


@case
def _infinite_spline(write: Write, patch: pytest.MonkeyPatch) -> Case:
    from drshym_pipeline.sar import ground_control

    class Nowhere:
        def __init__(self, *arguments: Any, **options: Any) -> None: ...
        def __enter__(self) -> Nowhere:
            return self

        def __exit__(self, *error: object) -> None: ...
        def xy(self, rows: Any, cols: Any, **options: Any) -> Any:
            return np.full(len(rows), np.inf), np.zeros(len(cols))

    patch.setattr(ground_control, "GCPTransformer", Nowhere)
    return with_points(write, [(12.0, 45.0), (12.02, 45.0), (12.0, 44.99), (12.02, 44.99)])


@case
def _flat_transform(write: Write, patch: pytest.MonkeyPatch) -> Case:
    flat = rasterio.Affine(10.0, 10.0, 500_000.0, 10.0, 10.0, 4_500_000.0)
    return Case(Request([write(CLEAN, "S1_a.tif", transform=flat)]), "Georeference it first", [whole(write)])


@case
def _other_grid(write: Write, patch: pytest.MonkeyPatch) -> Case:
    vv = write(CLEAN[0], "S1_a_VV.tif")
    other = write(CLEAN[1, :-1], "S1_b_VH.tif")
    return Case(Request([vv, other]), "two polarisations", [Request([vv, write(CLEAN[1], "S1_a_VH.tif")])])
