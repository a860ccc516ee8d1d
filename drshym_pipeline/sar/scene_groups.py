"""Which files form one scene, and which are its companions: the side rasters of its product, such as angles and masks.

Command and sensor use the same rules. Only names are read; no raster is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.file_names import pair_key, stem, twin_key
from drshym_pipeline.sar.layers import Layer, NamedLayer, layer_of_name
from drshym_pipeline.sar.safe_product import is_product_image, safe_folder_of
from drshym_pipeline.sar.scene_names import scene_stem

Role = Literal["whole", "VV", "VH"]
ROLES: Final[tuple[Role, ...]] = ("whole", "VV", "VH")

_BURST = re.compile(r"T\d{3}-\d{6}-[IE]W\d", re.IGNORECASE)  # OPERA: one burst of the orbit, the same in every year
_SEPARATOR = re.compile(r"[_\-. ]")
_EXTENSIONS: Final = (".tif", ".tiff")


@dataclass(frozen=True, slots=True, order=True)
class Companion:
    """A raster that belongs to a scene and is not a scene itself.

    Args:
        key: The file.
        layer: What it contains, as its name says.
        scene: The `stem` of its scene; None if no scene with such a name is there.
    """

    key: str
    layer: Layer
    scene: str | None = None

    @property
    def text(self) -> str:
        """Return the file and what it is, for a message."""
        owner = "no scene" if self.scene is None else f"a companion of {self.scene}"
        return f"{self.key} ({self.layer}, {owner})"


@dataclass(frozen=True, slots=True)
class SceneGroup:
    """The files that make up one scene.

    Args:
        name: A name that is unique among the groups of one call.
        stem: The path that its files share: without polarisation, and without extension when it is not needed. That of
            its VV file if the polarisation has no separator.
        files: The files by role: `whole` alone, or `VV` and `VH`.
        companions: The side rasters of its product.
    """

    name: str
    stem: str
    files: dict[Role, str] = field(default_factory=dict)
    companions: tuple[Companion, ...] = ()

    @property
    def ordered(self) -> list[str]:
        """Return the files, VV first."""
        return [self.files[role] for role in ROLES if role in self.files]


def pair_files(keys: Iterable[str]) -> list[SceneGroup]:
    """Group files into scenes.

    Two files of one folder are one scene if their names differ by the polarisation alone. Names that also differ by its
    place, its separators or its letter case are a pair only if no other VV and no other VH is left that fits as well.
    Every other file is one scene: nothing is paired by guess. The order of the files has no influence on the pairs.

    Args:
        keys: Paths with forward slashes, in the order of the result.

    Returns:
        The scenes, in the order of their first files.
    """
    files = list(keys)
    partners = _partners(files)
    scenes: list[dict[Role, str]] = []
    for place, key in enumerate(files):
        role: Role = pair_key(PurePosixPath(key).name)[1] or "whole"
        other = partners.get(place)
        if other is None:
            scenes.append({role: key})
        elif other > place:
            scenes.append({role: key, ("VH" if role == "VV" else "VV"): files[other]})
    named: dict[str, SceneGroup] = {}
    groups: dict[int, SceneGroup] = {}
    # The files of several scenes may share one stem. Pairs come first, so that the name of a pair stays the same when a
    # single file with its stem is added.
    for number in sorted(range(len(scenes)), key=lambda number: -len(scenes[number])):
        group = _named_group(scenes[number], number, named)
        named[group.name] = groups[number] = group
    return [groups[number] for number in range(len(scenes))]


def _named_group(files: dict[Role, str], number: int, named: Collection[str]) -> SceneGroup:
    """Return a scene under a name that is not among those of other scenes."""
    key = next(files[role] for role in ROLES if role in files)
    path = PurePosixPath(key)
    own = _stem_of(path)
    name = key if "whole" in files else f"{_below(path, pair_key(path.name)[0])}|pair"
    if name in named:  # s_VV.tif beside s.VV.tif, or a file given twice
        own = key
        name = key if key not in named else f"{key}|{number}"
    return SceneGroup(name, own, files)


def _partners(files: Sequence[str]) -> dict[int, int]:
    """Return the place of the other file of its scene for the place of each file that has one.

    The closest names are paired first: those with one extension, then those with two, then those of one `pair_key`.
    """
    partners: dict[int, int] = {}
    paths = [PurePosixPath(key) for key in files]
    for closeness in (_twin_with_extension, _twin, _plain):
        left: dict[str, dict[str, list[int]]] = {}
        for place, path in enumerate(paths):
            if place not in partners and (polarisation := pair_key(path.name)[1]) is not None:
                left.setdefault(closeness(path), {}).setdefault(polarisation, []).append(place)
        for found in left.values():
            vv, vh = found.get("VV", []), found.get("VH", [])
            if len(vv) == len(vh) == 1:
                partners |= {vv[0]: vh[0], vh[0]: vv[0]}
    return partners


def _twin(path: PurePosixPath) -> str:
    return _below(path, twin_key(path.name))


def _twin_with_extension(path: PurePosixPath) -> str:
    return f"{_twin(path)}{path.suffix}"


def group_files(keys: Sequence[str]) -> tuple[list[SceneGroup], list[Companion]]:
    """Group files into scenes and their companions.

    A file is a companion if its name says so. Words that may be part of any name, such as `area`, count only in the
    names of known products and beside a scene of the same name (`rome_area.tif` beside `rome.tif`). A name that is only
    such a word (`slope.tif`) counts if the other files of its folder are one scene with a polarisation in its name.

    Args:
        keys: Paths with forward slashes, in the order of the result.

    Returns:
        The scenes with their companions, and all companions, also those without a scene.
    """
    layers = {key: layer_of_name(stem(key)) for key in keys}
    beside = _names_of_scenes(key for key, layer in layers.items() if layer is None)
    named = {
        key: layer
        for key, layer in layers.items()
        if layer is not None and (layer.clear or _below(PurePosixPath(key), layer.rest) in beside)
    }
    scenes = pair_files(key for key in keys if key not in named)
    owners = _Owners(scenes)
    companions: list[Companion] = []
    found: dict[str, list[Companion]] = {}
    for key, layer in named.items():
        owner = owners.find(PurePosixPath(key), layer)
        companions.append(Companion(key, layer.layer, None if owner is None else owner.stem))
        if owner is not None:
            found.setdefault(owner.name, []).append(companions[-1])
    return [replace(scene, companions=tuple(found.get(scene.name, ()))) for scene in scenes], companions


def _names_of_scenes(keys: Iterable[str]) -> set[str]:
    """Return the names of scenes without polarisation, and the empty name in folders with one polarised scene."""
    names: dict[str, set[str]] = {}  # the names of each folder
    polarised = set()
    for key in keys:
        path = PurePosixPath(key)
        name, polarisation = pair_key(path.name)
        names.setdefault(_below(path, ""), set()).add(_below(path, name))
        if polarisation is not None:
            polarised.add(_below(path, ""))
    alone = {folder for folder, found in names.items() if len(found) == 1 and folder in polarised}
    return alone.union(*names.values())


def refuse_companion(path: Path) -> None:
    """Refuse a file that is a companion of a scene and not a scene, as its name says.

    Raises:
        InputError: It is one.
    """
    layer = layer_of_name(stem(path.name))
    if layer is None or not (layer.clear or _scene_beside(path, layer.rest)):
        return
    raise InputError(
        path,
        f"its name says that it is not backscatter ({layer.layer})",
        "Give the scene itself. If this is backscatter, rename it",
    )


def _scene_beside(path: Path, rest: str) -> bool:
    if rest:
        names = (f"{rest}{band}{end}" for band in ("", "_VV", "_vv", "-VV", "-vv") for end in _EXTENSIONS)
        return any(path.with_name(name).is_file() for name in names)
    try:
        others = [other.name for other in path.parent.iterdir() if other.suffix.lower() in _EXTENSIONS]
    except OSError:  # the file can be opened, but its folder cannot be listed
        return False
    return "" in _names_of_scenes(name for name in others if layer_of_name(stem(name)) is None)


def _below(path: PurePosixPath, name: str) -> str:
    """Return a name in the folder of a file."""
    folder = path.parent.as_posix()
    return name if folder == "." else f"{folder}/{name}"


def _plain(path: PurePosixPath) -> str:
    return _below(path, pair_key(path.name)[0])


def _stem_of(path: PurePosixPath) -> str:
    """Return the stem of a scene, with its folders.

    The images of a SAFE folder are named after the product, and a name that says nothing after its folder.
    """
    if (safe := safe_folder_of(path)) is not None and is_product_image(path):
        return _below(PurePosixPath(safe), pair_key(safe.name)[0])
    shared, own = pair_key(path.name)[0], scene_stem(path)
    if own == shared:
        return _below(path, own)
    place = path.parent
    while pair_key(place.name)[0] != own:
        place = place.parent
    return _below(place, own)


def _near_and_far(path: PurePosixPath) -> list[str]:
    """Return the folder of a file, and a text that files in the folders beside it have in common."""
    folder = path.parent
    return [folder.as_posix()] if folder.name == "" else [folder.as_posix(), f"{folder.parent.as_posix()}/*"]


class _Owners:
    """Finds the scene that a companion belongs to: in its folder, then in the folders beside it."""

    def __init__(self, scenes: Sequence[SceneGroup]) -> None:
        self._exact: dict[str, SceneGroup] = {}
        self._longer: dict[str, SceneGroup] = {}
        self._folders: dict[str, list[SceneGroup]] = {}
        for scene in scenes:
            path = PurePosixPath(scene.ordered[0])
            shared = pair_key(path.name)[0]
            self._folders.setdefault(path.parent.as_posix(), []).append(scene)
            for folder in _near_and_far(path):
                self._exact.setdefault(f"{folder}/{shared}", scene)
                for cut in _SEPARATOR.finditer(shared):
                    self._longer.setdefault(f"{folder}/{shared[: cut.start()]}", scene)
                if burst := _BURST.search(shared):
                    self._exact.setdefault(f"{folder}/{burst[0].upper()}", scene)

    def find(self, path: PurePosixPath, layer: NamedLayer) -> SceneGroup | None:
        """Return the scene of a companion, None if there is none."""
        if not layer.rest:  # `dem.tif`: it belongs to the one scene of its folder
            here = self._folders.get(path.parent.as_posix(), [])
            return here[0] if len(here) == 1 else None
        cuts = [cut.start() for cut in _SEPARATOR.finditer(layer.rest)]
        shorter = [layer.rest[:cut] for cut in reversed(cuts) if cut]
        burst = _BURST.search(layer.rest)
        for folder in _near_and_far(path):
            for table, names in (
                (self._exact, [layer.rest]),
                (self._longer, [layer.rest]),
                (self._exact, [burst[0].upper()] if burst else []),
                (self._exact, shorter),
            ):
                for name in names:
                    if (scene := table.get(f"{folder}/{name}")) is not None:
                        return scene
        return None
