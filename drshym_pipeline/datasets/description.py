"""What a data set of labelled chips is, as the record that travels with a model trained on it.

Words and counts only; the Markdown is laid out with the model's own card.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from drshym_pipeline.datasets.open_set import open_labelled_set
from drshym_pipeline.datasets.simulator.writer import DONE_MARKER
from drshym_pipeline.records import DataCard, DataSplit

if TYPE_CHECKING:
    from drshym_pipeline.datasets.chips import ChipRef
    from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
    from drshym_pipeline.settings import DataConfig

_USES = {
    "train": "weights",
    "valid": "choice of the best weights, temperature, threshold, area intervals",
    "test": "scores and the verdict",
}
_UNKNOWN: dict[str, Any] = {
    "title": "labelled chips in the layout of Sen1Floods11",
    "source": "not stated",
    "form": "VV and VH in dB, float32 GeoTIFF",
    "truth": "1 water, 0 dry, -1 not known",
    "licence": "not stated",
    "split_by_event": False,
    "limits": ("Where these chips come from is not known to the program.",),
}
_TEXTS: dict[str, dict[str, Any]] = {
    "simulated": {
        "title": "simulated Sentinel-1 scenes",
        "source": "The simulator of this package: land cover, terrain, water and speckle drawn from a seed. No pixel "
        "is taken from anywhere.",
        "form": "VV and VH in dB, float32 GeoTIFF, 10 m pixels, NaN where not observed",
        "truth": "Exact: the simulator knows where it put water. 1 water (calm, wind-roughened, weak in contrast, "
        "under vegetation, between houses), 0 dry, -1 not known.",
        "licence": "That of this package (MIT): no licence of any data set bears on it.",
        "split_by_event": True,
        "limits": (
            "Not one real pixel: what the simulator does not know, a model trained on it has never seen.",
            "Flood and permanent water are both water.",
            "Edges of water are sharper and labels better than any that people draw.",
        ),
    },
    "sen1floods11": {
        "title": "Sen1Floods11",
        "source": "Bonafilia, Tellman, Anderson and Issenberg (2020), release 1.1: 446 hand-labelled chips of 11 "
        "events, and over 4,000 weakly labelled ones.",
        "form": "VV and VH in dB, float32 GeoTIFF, 512 x 512 pixels of about 10 m, EPSG:4326",
        "truth": "Drawn by people on Sentinel-2 images of nearly the same time; weak labels are an Otsu threshold on "
        "Sentinel-1. 1 water, 0 dry, -1 not known.",
        "licence": "said to be CC-BY 4.0",
        "split_by_event": False,
        "limits": (
            "Labels are all water, permanent water included, not flood alone.",
            "Clouds hid part of the optical images: what they covered is labelled -1.",
            "Weak labels are wrong where a threshold is wrong: wind, shadow, flooded vegetation.",
            "Bolivia is left out of training and kept as an unseen event.",
        ),
    },
}


def describe_data(config: DataConfig, data: Sen1Floods11) -> DataCard:
    """The card of the data a model is trained on.

    Args:
        config: Which kind of data, and which labels.
        data: The chips.

    Raises:
        InputError: A chip that a list names is missing.
    """
    splits = {split: _split(split, data.chips(split, config.labels)) for split in ("train", "valid", "test")}
    # A recipe of simulated chips may be given a folder of other chips in the same layout.
    foreign = config.kind == "simulated" and not (data.root / DONE_MARKER).is_file()
    texts = _UNKNOWN if foreign else _TEXTS.get(config.kind, _UNKNOWN)
    return DataCard(**texts, splits=splits, sha256=data.sha256(), beside=tuple(_beside(config)))


def _beside(config: DataConfig) -> Iterator[str]:
    for source in config.sources:
        found = open_labelled_set(source.kind, source.root)
        yield (
            f"{found.title}: {100 * source.weight:.0f} % of the crops, labels worth {source.label_weight:g} of a hand "
            f"label. {found.source}. Licence: {found.licence}."
        )


def _split(name: str, refs: Sequence[ChipRef]) -> DataSplit:
    return DataSplit(chips=len(refs), events=len({ref.event for ref in refs}), use=_USES[name])
