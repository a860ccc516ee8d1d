"""Real sets for training in addition to the main set: opened, checked and weighted by the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.labelled_set import LabelledSet
from drshym_pipeline.datasets.open_set import open_labelled_set
from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import CalibrationSource, DataConfig, SourceConfig
from drshym_pipeline.storage import sha256_file


@dataclass(frozen=True)
class SourceChips:
    """Training chips of one source.

    Args:
        refs: The chips.
        weight: How often crops come from this source, relative to the weights of the others.
        label_weight: Weight of its labels in the loss; a hand label has the weight 1.
        sha256: Hash of the whole set.
        laid_water: Share of its crops that get water from a crop of the main set.
    """

    refs: tuple[ChipRef, ...]
    weight: float
    label_weight: float
    sha256: str
    laid_water: float = 0.0


def prepare_sources(config: DataConfig) -> list[SourceChips]:
    """Open the additional training sources of a configuration, in the order of the configuration.

    The remaining share of crops, 1 minus the sum of the weights, belongs to the main set.

    Raises:
        InputError: A folder lacks the layout, a chip is not complete, or a source does not have an event.
    """
    return [
        SourceChips(tuple(refs), source.weight, source.label_weight, data.sha256(), source.laid_water)
        for source, (data, refs) in zip(config.sources, list_sources(config), strict=True)
    ]


def list_sources(config: DataConfig) -> list[tuple[LabelledSet, list[ChipRef]]]:
    """Return the set of each additional source and its chips that are used; no pixel is read.

    Raises:
        InputError: A folder lacks the layout, a chip is not complete, or a source does not have an event.
    """
    return [_list(source, f"data.sources.{number}") for number, source in enumerate(config.sources)]


def list_calibration(config: DataConfig) -> list[tuple[LabelledSet, list[ChipRef]]]:
    """Return the set of each calibration source and its chips; no pixel is read.

    Raises:
        InputError: A folder lacks the layout, a chip is not complete, a source does not have an event, or a chip is
            also trained on (a network is more certain of chips that it has seen) or in two sets.
    """
    sources = list_sources(config)
    used = {_digest(ref): "training" for _, refs in sources for ref in refs} if config.calibration else {}
    found = []
    for number, source in enumerate(config.calibration):
        key = f"data.calibration.{number}"
        data, refs = _list(source, key)
        digests = {_digest(ref): ref for ref in refs}
        if twice := used.keys() & digests.keys():
            first = min(twice, key=lambda digest: digests[digest].chip_id)
            raise InputError(
                f"{key}.events",
                f"'{digests[first].event}' is also used for {used[first]}",
                "Name every event once in data.sources and data.calibration",
            )
        used |= dict.fromkeys(digests, f"data.calibration.{number}")
        found.append((data, refs))
    return found


def _digest(ref: ChipRef) -> str:
    """Return the hash of the image of a chip: a copy in another folder is the same chip."""
    return sha256_file(ref.image)


def short_digest(ref: ChipRef) -> str:
    """Return the first 16 hexadecimal digits of the hash of a chip's image: enough to recognise it among all chips."""
    return _digest(ref)[:16]


def main_share(config: DataConfig) -> float:
    """Return the share of crops that are drawn from the main set."""
    return 1.0 - sum(source.weight for source in config.sources)


def _list(source: SourceConfig | CalibrationSource, key: str) -> tuple[LabelledSet, list[ChipRef]]:
    """Return the set and the chips of one source, which has the key `key` in the configuration."""
    data = open_labelled_set(source.kind, source.root)
    known = data.events()
    unknown = [event for event in source.events if event not in known]
    if unknown:
        raise InputError(f"{key}.events", f"{data.root} has no event '{unknown[0]}'", f"Use: {', '.join(known)}")
    return data, [ref for event in source.events or known for ref in data.chips(event)]
