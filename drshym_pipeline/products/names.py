"""The names of one scene's files and the values of its mask. Nothing is written here."""

from __future__ import annotations

from typing import Final, Literal, get_args

ProductKind = Literal["mask", "style", "proba", "overlay", "thumbnail", "flood", "caption", "report", "record"]
PRODUCT_KINDS: Final[tuple[ProductKind, ...]] = get_args(ProductKind)
_SUFFIXES: Final[dict[ProductKind, str]] = {
    "mask": "_mask.tif",
    "style": "_mask.qml",
    "proba": "_proba.tif",
    "overlay": "_overlay.png",
    "thumbnail": "_thumbnail.png",
    "flood": "_flood.geojson",
    "caption": "_caption.txt",
    "report": "_report.html",
    "record": "_report.json",
}

DRY: Final = 0
FLOODED: Final = 1
PERMANENT: Final = 2
EXCLUDED: Final = 250
MASK_NOT_OBSERVED: Final = 255

MASK_LEGEND: Final[dict[str, int]] = {
    "dry": DRY,
    "flooded": FLOODED,
    "permanent": PERMANENT,
    "excluded": EXCLUDED,
    "not_observed": MASK_NOT_OBSERVED,
}


# What the flooded class means while water that was there before is not separated.
OPEN_WATER: Final = "open water, flood not separated"


def water_state(*, water_separated: bool) -> str:
    """What the flooded class of a map means, in words."""
    return "flooded" if water_separated else OPEN_WATER


def mask_labels(*, water_separated: bool) -> dict[int, str]:
    """The values of a mask in words, for legends."""
    return {
        DRY: "dry",
        FLOODED: water_state(water_separated=water_separated),
        PERMANENT: "water that was there before",
        EXCLUDED: "excluded (terrain)",
        MASK_NOT_OBSERVED: "not observed",
    }


def product_name(scene_id: str, kind: ProductKind) -> str:
    """The file name of one product of a scene, such as `S1_x_mask.tif`."""
    return f"{scene_id}{_SUFFIXES[kind]}"
