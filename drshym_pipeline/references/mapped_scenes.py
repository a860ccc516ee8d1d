"""The mapped scenes of a store, as the maps of other scenes may use them: their records and probability files.

Only records are read here, no raster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path, PurePosixPath

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import BandMode, Modality, ModelReference, PixelSpacing, SceneMeta
from drshym_pipeline.sar.file_names import stem
from drshym_pipeline.sar.orbits import common_relative_orbit
from drshym_pipeline.sar.sidecar import SceneSidecar, scene_name
from drshym_pipeline.scene_store import SceneStore
from drshym_pipeline.storage import sha256_file


@dataclass(frozen=True)
class MappedScene:
    """A scene with a finished map.

    Args:
        meta: The scene.
        map_version: The version of its newest map; empty for a map of release 0.1.0.
        model: The model that made the map.
        mode: The bands that the network used.
        threshold: The probability from which a pixel is water in it.
        proba: Its probability of water, on the map grid of the scene.
        proba_sha256: The hash of that file.
        note: The side-car of the scene.
        names: Names that a user may call the scene by.
        pixel_spacing: How its pixels were resampled for the network; None if they were not.
        reference_key: The key of the reference that its map was planned with; None if an earlier release made the map.
    """

    meta: SceneMeta
    map_version: str
    model: ModelReference
    mode: BandMode
    threshold: float
    proba: Path
    proba_sha256: str
    note: SceneSidecar = field(default_factory=SceneSidecar)
    names: frozenset[str] = frozenset()
    pixel_spacing: PixelSpacing | None = None
    reference_key: str | None = None

    @property
    def name(self) -> str:
        """The scene's name."""
        return self.meta.scene_id

    @property
    def modality(self) -> Modality:
        """The bands that the network used, as the tile record names them."""
        return "sentinel1_sar_vv_vh" if self.mode == "vv_vh" else "sentinel1_sar_vv"

    @property
    def day(self) -> date | None:
        """The day of the scene in UTC; None if it is not known."""
        return None if self.meta.acquired_at is None else self.meta.acquired_at.date()

    def is_intact(self) -> bool:
        """Return whether the probability file is there and has the bytes that the map was finished with."""
        try:
            return sha256_file(self.proba) == self.proba_sha256
        except OSError:
            return False


def relative_orbit_of(meta: SceneMeta) -> int | None:
    """Return the relative orbit of a scene; records of earlier versions do not have it, but their file names may."""
    return meta.relative_orbit or common_relative_orbit(meta.source_uris)


def read_mapped_scene(store: SceneStore, scene: str, note: SceneSidecar) -> MappedScene | None:
    """Return a scene with its newest map; None if it has none, or if its records or files are damaged or missing.

    Args:
        store: The scenes.
        scene: The name of the scene.
        note: Its side-car.
    """
    try:
        newest = store.current(scene)
        if newest is None:
            return None
        proba = newest.product("proba")
        digest = newest.hash_of("proba")
        if digest is None or not proba.is_file():
            return None
        stitched, sources = newest.stitched(), store.sources(scene)
        meta = newest.scene.meta()
    except InputError:  # a damaged scene must not stop the maps of others
        return None
    keys = () if sources is None else sources.files
    return MappedScene(
        # The many points of a raw image are not needed: its products have a grid of their own.
        meta=meta.model_copy(update={"control_points": ()}),
        map_version=newest.version,
        model=stitched.reference,
        mode=stitched.mode,
        threshold=stitched.calibration.threshold,
        proba=proba,
        proba_sha256=digest,
        note=note,
        names=names_of(scene, keys),
        pixel_spacing=stitched.pixel_spacing,
        reference_key=None if stitched.reference_note is None else stitched.reference_note.key,
    )


def names_of(scene: str, keys: tuple[str, ...]) -> frozenset[str]:
    """Return the names that a user may call a scene by: its own, and those of its files with and without endings.

    Args:
        scene: The scene's name.
        keys: The paths of its files in the watched folder.
    """
    found = {scene, *keys}
    for part in (part for key in keys for part in PurePosixPath(key).parts):
        found |= {part, stem(part), scene_name(part)}
    return frozenset(found)
