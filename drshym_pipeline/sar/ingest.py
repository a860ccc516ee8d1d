"""Describe a Sentinel-1 scene as `SceneMeta` by reading each of its pixels once.

The pixels can be stored as backscatter in the same pass. `scene` stages a described scene, `reader` reads its windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path

import numpy as np

from drshym_pipeline.errors import InputError
from drshym_pipeline.prefetch import Prefetched
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import APPROXIMATE_RADIOMETRY, BandSource, BandStatistics, Polarisation, SceneMeta, Units
from drshym_pipeline.sar import file_names, scene_names
from drshym_pipeline.sar.backscatter import BackscatterWriter
from drshym_pipeline.sar.band_order import check_order
from drshym_pipeline.sar.codes import NOT_OBSERVED_CODE, encode_db
from drshym_pipeline.sar.completeness import check_zero_tail
from drshym_pipeline.sar.georeference import Grid
from drshym_pipeline.sar.ground_control import product_grid
from drshym_pipeline.sar.orbits import common_relative_orbit
from drshym_pipeline.sar.radiometry import DN_OFFSET_DB
from drshym_pipeline.sar.reader import OpenScene, WindowValues, check_sources
from drshym_pipeline.sar.repeated_values import repeated_warnings
from drshym_pipeline.sar.sample import sample_scene
from drshym_pipeline.sar.statistics import BackscatterHistogram, ExcludedValues
from drshym_pipeline.sar.unit_evidence import COUNTS, Claims
from drshym_pipeline.sar.units import find_units
from drshym_pipeline.storage import sha256_file, sha256_json, to_uri
from drshym_pipeline.worker_threads import WorkerThreads

# Part of every version: increased when the same bytes give other dB values than before.
_READING = 4
# From this share of the pixels on, it is worth a warning that one band is missing there.
_ONE_BAND_MISSING = 0.01
_AHEAD = 2  # windows decoded in advance


def content_version(sha256: str, units: Units | None, bands: Sequence[int] = ()) -> str:
    """Return the version of a scene: 12 hex digits of a hash of its content and the options that change its reading."""
    chosen = {"bands": list(bands)} if bands else {}  # without a choice the version is that of earlier releases
    return sha256_json({"sha256": sha256, "units": units, "reading": _READING, **chosen})[:12]


def _hash_of_all(bands: Sequence[BandSource], hash_of: Callable[[str], str]) -> str:
    """Return the hash of a scene's one file, or a hash of all hashes when it has two files or tables."""
    hashes = {band.path: hash_of(band.path) for band in bands}
    tables = {
        f"{band.polarisation} {kind}": hash_of(path)
        for band in bands
        for kind, path in (("calibration", band.calibration), ("noise", band.noise))
        if path is not None
    }
    if len(hashes) == 1 and not tables:
        return next(iter(hashes.values()))
    return sha256_json({**{band.polarisation: hashes[band.path] for band in bands}, **tables})


def content_hash(bands: Sequence[BandSource], directory: Path) -> str:
    """Return the content hash of a scene.

    Args:
        bands: The bands and their files.
        directory: The folder that relative paths start from.
    """
    return _hash_of_all(bands, lambda path: sha256_file(directory / path))


def _claims(scene: OpenScene) -> Claims:
    """Return what the headers and names of the scene's files say about their values."""
    used = [scene.facts_of(role) for role in scene.roles]
    hints = {facts.units_hint for facts in used} - {None}
    if len(hints) > 1:
        raise InputError(
            used[0].path,
            f"its polarisations have different units, as their names say ({' and '.join(sorted(map(str, hints)))})",
            "Give both in the same units",
        )
    types = ["float32" if file.scaled else file.dtype for file in used]
    return Claims(
        dtype=next((dtype for dtype in types if dtype in ("uint8", "int8")), types[0]),
        hint=used[0].units_hint,
        # Raw products have control points and no transform; elevation models and pictures have a transform.
        named=any(file.named for file in scene.facts) or scene.grid.georeference == "gcps",
        polarised=len(scene.roles) > 1 or scene.roles[0].stated,
    )


def _read_all(
    scene: OpenScene, writer: BackscatterWriter | None, progress: Progress
) -> tuple[float, dict[Polarisation, BandStatistics]]:
    """Read every pixel once; return the observed fraction and the statistics of each polarisation.

    The pixels are also given to `writer`, so no later stage decodes the source again. A thread decodes the next windows
    at the same time.
    """
    if writer is not None:
        writer.open(scene.grid.height, scene.grid.width)
    bands = scene.bands
    histograms = [BackscatterHistogram() for _ in bands.bands]
    excluded = [ExcludedValues(band.polarisation) for band in bands.bands]
    windows = scene.windows()
    count = 0
    alone = [0] * len(bands.bands)
    progress("describe", 0, len(windows))
    with closing(iter(Prefetched(WindowValues(bands, windows), _AHEAD))) as read:
        for index, (window, layers) in enumerate(read, 1):
            db = bands.decibels(layers, window)
            for values, layer, counter in zip(db, layers, excluded, strict=True):
                counter.add(values, layer)
            codes = encode_db(db)
            finite = codes != NOT_OBSERVED_CODE
            mask = finite.all(axis=0)
            alone = [total + int(band.sum()) for total, band in zip(alone, finite, strict=True)]
            count += int(mask.sum())
            codes[:, ~mask] = NOT_OBSERVED_CODE
            for histogram, band in zip(histograms, codes, strict=True):
                histogram.add(band)
            if writer is not None:
                writer.write(window, codes)
            progress("describe", index, len(windows))
    for path, dataset in scene.files.items():
        note = check_zero_tail(dataset, path)
        if note is not None:
            scene.warnings.append(note)
    if max(alone) > 0 and min(alone) == 0:
        empty, full = scene.roles[alone.index(0)], scene.roles[1 - alone.index(0)]
        raise InputError(
            empty.path,
            f"incomplete: {empty.polarisation} has no valid pixel, but {full.polarisation} has {max(alone)}",
            "Download or copy it again, or use VV alone",
        )
    total = scene.grid.height * scene.grid.width
    for role, number in zip(scene.roles, alone, strict=True):
        if number - count >= _ONE_BAND_MISSING * total:
            scene.warnings.append(
                f"{(number - count) / total:.1%} of the pixels have {role.polarisation} and no other band: not observed"
            )
    for counter, histogram in zip(excluded, histograms, strict=True):
        scene.warnings.extend(counter.warnings(total, histogram))
    statistics = {
        role.polarisation: found
        for role, histogram in zip(scene.roles, histograms, strict=True)
        if (found := histogram.statistics()) is not None
    }
    return count / total, statistics


def _processing(scene: OpenScene, units: Units, chosen: Sequence[int]) -> tuple[str, ...]:
    steps = [f"bands:{','.join(map(str, chosen))}"] if chosen else []
    if scene.grid.georeference == "gcps":
        steps.append(f"georeference:gcps->{scene.grid.crs}:products")
    if any(facts.scaled for facts in scene.facts):
        steps.append("scale:tags")
    if units in COUNTS:
        steps.append(scene.tables.noise_step)
    if scene.tables.calibration:
        steps.append("calibrate:sigma-nought-table")
    elif units in COUNTS:
        steps.append(f"calibrate:nominal-sigma0:{-DN_OFFSET_DB:.2f}dB")
    if units != "db":
        steps.append(f"units:{units}->db")
    return tuple(steps)


def _orbit(scene: OpenScene, named: file_names.OrbitDirection | None) -> file_names.OrbitDirection | None:
    for key, value in scene.tags.items():
        word = value.strip().lower()
        if "orbit" in key.lower() and word in ("ascending", "descending"):
            return "ascending" if word == "ascending" else "descending"
    return named


def describe_scene(
    sources: Sequence[Path],
    *,
    scene_id: str | None = None,
    units: Units | None = None,
    bands: Sequence[int] = (),
    denoise: bool = True,
    source_uris: Sequence[str] | None = None,
    backscatter: Path | None = None,
    progress: Progress = silent,
) -> SceneMeta:
    """Read a whole scene and return its description.

    Args:
        sources: One file with VV (and VH), or one file per polarisation: VV first if the names do not say which is VV.
        scene_id: The scene's name; by default made from the file names.
        units: The units of the pixels; by default found from the values, the file's name and its tags.
        bands: The numbers of the bands to read, VV first; by default found from their names.
        denoise: Subtract the thermal noise from digital numbers, if the product has the tables for it.
        source_uris: Where the files came from, one URI for each of `sources`; by default their `file://` URIs.
        backscatter: The file in which to store the pixels as `sar.backscatter` does; not stored when None. The file is
            complete when this function returns.
        progress: Called after every strip, as stage `describe`.

    Returns:
        The record, with absolute paths of the bands. A scene without an observed pixel is valid and has a warning.

    Raises:
        InputError: A file is missing, damaged, incomplete, without VV, without georeference or of unknown units; or two
            files have different grids.
    """
    paths = check_sources(sources)
    name = scene_id or scene_names.scene_id(paths)
    if not scene_names.is_scene_id(name):
        raise InputError(name, "not usable as a scene's name", "Use letters, digits, '_', '-' and '.'")
    uris = tuple(source_uris) if source_uris is not None else tuple(to_uri(path) for path in paths)
    with ExitStack() as stack:
        scene = OpenScene(paths, stack, bands)
        claims = _claims(scene)  # before the order: bands of different units have none
        samples = check_order(scene, sample_scene(scene.bands, scene.windows()))
        found = find_units(samples, claims, subject=str(scene.roles[0].path), given=units)
        repeated = repeated_warnings(samples, scene.bands.bands, found.units)
        scene.bands.units = found.units
        if found.units in COUNTS:
            scene.use_tables(denoise=denoise)
        kept = nullcontext() if backscatter is None else BackscatterWriter(backscatter, len(scene.roles))
        pool = stack.enter_context(WorkerThreads(1, "hash"))
        hashes = {str(path): pool.submit(sha256_file, path) for path in scene.files}
        with kept as writer:
            fraction, statistics = _read_all(scene, writer, progress)
        first = scene.roles[0]
        facts = scene.facts_of(first)
        warnings = [*scene.warnings, *found.warnings, *repeated]
        if found.units in COUNTS and not scene.tables.calibration:
            warnings.append(f"{APPROXIMATE_RADIOMETRY}: digital numbers converted with a nominal calibration constant")
        grid = scene.grid
        map_grid = None
        if grid.georeference == "gcps":
            map_grid = product_grid(grid, first.path)
            warnings.append("georeferenced from ground control points, without terrain correction")
        if fraction == 0.0:
            warnings.append("not observed anywhere: the scene has no valid pixel")
        names = [file_names.parse_name(scene_names.telling_name(path)) for path in paths]
        orbit = _orbit(scene, next((name.orbit_direction for name in names if name.orbit_direction), None))

        def hash_of(path: str) -> str:
            return hashes[path].result() if path in hashes else sha256_file(Path(path))

        sources_read = [scene.source_of(role) for role in scene.roles]
        used = tuple(band.model_copy(update={"sha256": hash_of(band.path)}) for band in sources_read)
        sha256 = _hash_of_all(used, hash_of)
        # Spacing and bounds are those of the products' grid.
        shown = grid if map_grid is None else Grid(map_grid.crs, map_grid.affine, *map_grid.shape, "transform")
        return SceneMeta(
            scene_id=name,
            version=content_version(sha256, units, bands),
            source_uris=uris,
            sha256=sha256,
            height=grid.height,
            width=grid.width,
            crs=grid.crs,
            transform=grid.transform[:6],
            pixel_spacing=shown.pixel_spacing,
            bounds=shown.bounds,
            georeference=grid.georeference,
            control_points=grid.points,
            product_grid=map_grid,
            bands=used,
            units=found.units,
            units_evidence=found.evidence,
            dtype=facts.dtype,
            nodata=facts.nodata if facts.nodata is not None and np.isfinite(facts.nodata) else None,
            observed_fraction=fraction,
            statistics=statistics,
            processing=_processing(scene, found.units, bands),
            warnings=tuple(warnings),
            mission=next((name.mission for name in names if name.mission), None),
            acquired_at=next((name.acquired_at for name in names if name.acquired_at), None),
            orbit_direction=orbit,
            relative_orbit=common_relative_orbit([*map(str, paths), *uris]),
        )
