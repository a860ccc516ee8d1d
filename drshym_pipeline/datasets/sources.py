"""Real 8-bit sets for training in addition to the main set: opened, checked and weighted by the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.open_set import open_labelled_set
from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import DataConfig, SourceConfig


@dataclass(frozen=True)
class SourceChips:
    """Training chips of one source.

    Args:
        refs: The chips.
        weight: How often crops come from this source, relative to the weights of the others.
        label_weight: Weight of its labels in the loss; a hand label has the weight 1.
        sha256: Hash of the whole set.
    """

    refs: tuple[ChipRef, ...]
    weight: float
    label_weight: float
    sha256: str


def prepare_sources(config: DataConfig) -> list[SourceChips]:
    """Open the additional training sources of a configuration, in the order of the configuration.

    The remaining share of crops, 1 minus the sum of the weights, belongs to the main set.

    Raises:
        InputError: A folder lacks the layout, a tile is not complete, or a source does not have an event.
    """
    return [_open(source, number) for number, source in enumerate(config.sources)]


def main_share(config: DataConfig) -> float:
    """Return the share of crops that are drawn from the main set."""
    return 1.0 - sum(source.weight for source in config.sources)


def _open(source: SourceConfig, number: int) -> SourceChips:
    data = open_labelled_set(source.kind, source.root)
    known = data.events()
    unknown = [event for event in source.events if event not in known]
    if unknown:
        raise InputError(
            f"data.sources.{number}.events", f"{source.root} has no event '{unknown[0]}'", f"Use: {', '.join(known)}"
        )
    refs = [ref for event in source.events or known for ref in data.chips(event)]
    return SourceChips(tuple(refs), source.weight, source.label_weight, data.sha256())
