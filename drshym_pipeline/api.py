"""The functions for other programs: `from drshym_pipeline import load_model, map_scene, segment`.

They take paths as strings or `Path`s, `segment` also arrays, and choose the model as the command does. The work is done
in `mapping`, `arrays` and `model`. `docs/python.md` describes them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import MapRecord, PrecisionOption, TerrainLimits, Units
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE

if TYPE_CHECKING:
    import xarray as xr

    from drshym_pipeline.arrays.segmenting import Scene
    from drshym_pipeline.model.bundle import ModelBundle

__all__ = ["load_model", "map_scene", "segment"]


def load_model(path: str | os.PathLike[str] | None = None) -> ModelBundle:
    """Load a model and verify it; a loaded model can map many scenes.

    Args:
        path: The directory of a sealed model. By default the model in service, or the shipped one if none is.

    Raises:
        InputError: There is no model, or it was changed after sealing.
    """
    from drshym_pipeline.model.choice import choose_model

    return choose_model(path).bundle


def map_scene(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    model: ModelBundle | str | os.PathLike[str] | None = None,
    *,
    pre: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    ancillary: str | os.PathLike[str] | None = None,
    limits: TerrainLimits | None = None,
    scene_id: str | None = None,
    units: Units | None = None,
    bands: Sequence[int] | str = (),
    denoise: bool = True,
    tile: int = DEFAULT_TILE,
    overlap: int = DEFAULT_OVERLAP,
    batch_size: int | None = None,
    device: str = "auto",
    precision: PrecisionOption = "auto",
    any_spacing: bool = False,
    min_area_ha: float = 0.0,
    threshold: float | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> MapRecord:
    """Map one scene and write its products into a folder.

    Args:
        path: A GeoTIFF with VV or with VV and VH, a `.SAFE` folder or a zip of it; or the two files of a scene:
            `(vv, vh)`.
        out: The folder for the products. If the mapping fails, no file of this scene is left in it.
        model: A loaded model, or the directory of a sealed one. By default as in `load_model`.
        pre: A scene from before the event, as for `path`. With it flood is separated from water that was there before.
            If its units or bands cannot be recognised, write them into its side-car.
        ancillary: A folder of tiles of long-term water maps and elevation, or the address of a bucket with them as
            text, such as `s3://bucket/prefix`. With it flood is separated from the water that they show, and steep and
            high ground is excluded.
        limits: The limits of slope and height; steeper or higher ground is excluded. The default limits when None.
        scene_id: The scene's name; taken from the file names by default.
        units: The unit of the pixel values, if it cannot be recognised: `db`, `power`, `amplitude`, `dn` or
            `intensity` (the square of `dn`).
        bands: The numbers of the bands to read, VV first, if their names do not say which they are: `(1,)`, `(1, 2)` or
            the text `1,2`.
        denoise: Subtract the thermal noise from digital numbers, if the product has the tables for it.
        tile: Tile side in pixels.
        overlap: Overlap of neighbouring tiles in pixels.
        batch_size: Tiles in one forward pass on a GPU; chosen for the machine when None.
        device: `cpu`, `cuda` or `auto`.
        precision: `fp32`, `bf16` or `auto`.
        any_spacing: Map pixels of more than 60 m too.
        min_area_ha: Connected water areas below this size become dry, in hectares: a multiple of 0.1 up to 10. With 0
            areas of any size stay.
        threshold: The probability from which a pixel is water, between 0 and 1. By default that of the model. With
            another one the interval of the area is 0 to the whole observed area, because the model's own interval was
            fitted for its threshold.
        overwrite: Replace products of another scene that have the same names.
        progress: Called with (stage, done, total) while the scene is mapped.

    Returns:
        The record of the map. `record.files` are names in `out`; `record.flooded` is None when nothing was observed,
        or the terrain excludes all that was.

    Raises:
        InputError: The scene, the model or an option cannot be used; the error says what to do.
        UnavailableError: The bucket of `ancillary` cannot be read now; the error says why.
    """
    from drshym_pipeline.arrays.array_errors import errors_in_python
    from drshym_pipeline.arrays.function_options import check_model, check_path, check_paths, checked_options
    from drshym_pipeline.mapping import map_scene as map_in_stages
    from drshym_pipeline.model.choice import choose_model

    check_paths("path", path)
    check_path("out", out)
    check_paths("pre", pre := () if pre is None else pre)
    check_model(model)
    options = checked_options(
        ancillary=ancillary,
        limits=limits,
        scene_id=scene_id,
        units=units,
        bands=bands,
        denoise=denoise,
        tile=tile,
        overlap=overlap,
        batch_size=batch_size,
        device=device,
        precision=precision,
        any_spacing=any_spacing,
        min_area_ha=min_area_ha,
        threshold=threshold,
        overwrite=overwrite,
        progress=progress,
    )
    with errors_in_python():
        chosen = choose_model(model)
        return map_in_stages(_files(path), Path(out), chosen.bundle, chosen.reference, pre=_files(pre), **options)


def segment(
    scene: Scene,
    pre: Scene | None = None,
    *,
    model: ModelBundle | str | os.PathLike[str] | None = None,
    scene_id: str | None = None,
    acquired: datetime | str | None = None,
    units: Units | None = None,
    bands: Sequence[int] | str = (),
    denoise: bool = True,
    threshold: float | None = None,
    ancillary: str | os.PathLike[str] | None = None,
    limits: TerrainLimits | None = None,
    tile: int = DEFAULT_TILE,
    overlap: int = DEFAULT_OVERLAP,
    batch_size: int | None = None,
    device: str = "auto",
    precision: PrecisionOption = "auto",
    any_spacing: bool = False,
    min_area_ha: float = 0.0,
    progress: Progress = silent,
) -> xr.Dataset:
    """Map one scene and return the map in memory; no file is left behind.

    The map is that of `map_scene`. `docs/python.md` lists the variables and attributes of the result.

    Args:
        scene: A path as for `map_scene`; or a `DataArray` (y, x) or (band, y, x) of VV or of VV and VH, with CRS and
            coordinates as `rioxarray.open_rasterio` returns them; or the pair `(vv, vh)` of either.
        pre: A scene from before the event, as for `scene`. With it flood is separated from water that was there before.
        model: A loaded model, or the directory of a sealed one. By default as in `load_model`.
        scene_id: The scene's name; by default that of the file, or of the file that the array was read from.
        acquired: When the scene was acquired, also as ISO text; a time without a zone is UTC. By default as the name of
            the file says, or the coordinate `time` of the array.
        units: The unit of the pixel values, if it cannot be recognised; as for `map_scene`.
        bands: The numbers of the bands to read, VV first, if their names do not say which they are.
        denoise: Subtract the thermal noise from digital numbers, if the product has the tables for it.
        threshold: The probability from which a pixel is water, between 0 and 1; as for `map_scene`.
        ancillary: A folder of tiles of long-term water maps and elevation; as for `map_scene`.
        limits: The limits of slope and height; steeper or higher ground is excluded. The default limits when None.
        tile: Tile side in pixels.
        overlap: Overlap of neighbouring tiles in pixels.
        batch_size: Tiles in one forward pass on a GPU; chosen for the machine when None.
        device: `cpu`, `cuda` or `auto`.
        precision: `fp32`, `bf16` or `auto`.
        any_spacing: Map pixels of more than 60 m too.
        min_area_ha: Connected water areas below this size become dry, in hectares; as for `map_scene`.
        progress: Called with (stage, done, total) while the scene is mapped.

    Returns:
        `mask` uint8 and `probability` float32 in [0, 1], NaN where not observed, both (y, x); with a reference also
        `reference` and `flood_probability`, with terrain `exclusion`. The attributes have caption, areas with their
        intervals, warnings, model and source.

    Raises:
        InputError: The scene, the model or an option cannot be used; the error says what to do.
    """
    from drshym_pipeline.arrays.function_options import check_model, checked_options
    from drshym_pipeline.arrays.segmenting import segment_scene
    from drshym_pipeline.model.choice import choose_model

    check_model(model)
    options = checked_options(
        acquired=acquired,
        bands=bands,
        scene_id=scene_id,
        units=units,
        denoise=denoise,
        threshold=threshold,
        ancillary=ancillary,
        limits=limits,
        tile=tile,
        overlap=overlap,
        batch_size=batch_size,
        device=device,
        precision=precision,
        any_spacing=any_spacing,
        min_area_ha=min_area_ha,
        progress=progress,
    )
    return segment_scene(scene, pre, choose_model(model), **options)


def _files(given: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return the files of a scene that is given as one path or as several."""
    return [Path(path) for path in ([given] if isinstance(given, str | os.PathLike) else given)]
