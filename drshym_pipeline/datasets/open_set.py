"""Open a labelled set, by the name of its kind or by the layout of its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from drshym_pipeline.datasets.emsr763 import Emsr763
from drshym_pipeline.datasets.etci2021 import Etci2021
from drshym_pipeline.datasets.labelled_set import LabelledSet
from drshym_pipeline.datasets.ombria import Ombria
from drshym_pipeline.datasets.real_land import RealLand
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.stac_overflow import StacOverflow
from drshym_pipeline.errors import InputError

SetKind = Literal["sen1floods11", "stac_overflow", "etci2021", "ombria", "emsr763", "real_land"]

_LOADERS: dict[SetKind, Callable[[Path], LabelledSet]] = {
    "sen1floods11": Sen1Floods11,
    "stac_overflow": StacOverflow,
    "etci2021": Etci2021,
    "ombria": Ombria,
    "emsr763": Emsr763,
    "real_land": RealLand,
}
# The sets that come with the package, by the name under which a recipe or the command finds them without a folder.
_PACKAGED: Mapping[str, Callable[[], LabelledSet]] = {"real_land": RealLand}
_SIGNS = {
    "sen1floods11": "data/ and splits/",
    "stac_overflow": "<chip>_vv.tif, <chip>_vh.tif and <chip>.tif",
    "etci2021": "<event>_<time>/tiles/vv",
    "ombria": "OmbriaS1/ or 2021/<EVENT>/Sentinel1",
    "emsr763": "PRE_S1/, POST_S1/ and Labels/",
    "real_land": "patches.csv",
}


def open_labelled_set(kind: SetKind, root: Path | None = None) -> LabelledSet:
    """Open a set of a known kind.

    Args:
        kind: The kind.
        root: The folder; None for the set that comes with the package.

    Raises:
        InputError: The folder does not have the layout of this kind, or no set of this kind comes with the package.
    """
    if root is not None:
        return _LOADERS[kind](root)
    if kind not in _PACKAGED:
        raise InputError(kind, "does not come with the package", "Give the folder of the set")
    return _PACKAGED[kind]()


def detect_set(root: Path) -> LabelledSet:
    """Open the set that a folder holds, recognised by its layout, or a set that comes with the package, by its name.

    Args:
        root: A folder of Sen1Floods11 (or of the simulator), STAC-Overflow, ETCI 2021, OMBRIA, EMSR763 or real_land.
            The word `real_land` alone means the set of the package, unless there is a folder with this name.

    Raises:
        InputError: The folder does not exist or has none of these layouts, or a Sen1Floods11 copy is not complete.
    """
    if not root.is_dir():
        if str(root) in _PACKAGED:
            return _PACKAGED[str(root)]()
        raise InputError(
            root, "is not a folder", f"Give the folder of a labelled set, or the name {' or '.join(_PACKAGED)}"
        )
    if any((folder / "data" / "flood_events").is_dir() for folder in (root, root / "v1.1")):
        # Its own error says which part of the layout is missing.
        return Sen1Floods11(root)
    for loader in _LOADERS.values():
        try:
            return loader(root)
        except InputError:
            continue
    known = "; ".join(f"{kind}: {sign}" for kind, sign in _SIGNS.items())
    raise InputError(root, "does not have the layout of Sen1Floods11 or of any other known set", f"Expected {known}")
