"""What a data set of labelled chips is, as the record that travels with a model trained on it.

Words and counts only; the Markdown is laid out with the model's own card. Where the words come from is decided in
`provenance`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from drshym_pipeline.datasets.open_set import open_labelled_set
from drshym_pipeline.datasets.provenance import Provenance, provenance_of
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


def training_provenance(config: DataConfig, data: Sen1Floods11) -> Provenance:
    """The origin of the chips of a recipe: those it trains on, validates on and is scored on.

    Raises:
        InputError: A chip that a list names is missing, or `dataset.json` cannot be used.
    """
    return provenance_of(data, [ref for split in _USES for ref in data.chips(split, config.labels)])


def describe_data(config: DataConfig, data: Sen1Floods11) -> DataCard:
    """The card of the data a model is trained on.

    Args:
        config: Which labels, and which other sets are trained on beside.
        data: The chips.

    Raises:
        InputError: A chip that a list names is missing, or `dataset.json` cannot be used.
    """
    splits = {split: _split(split, data.chips(split, config.labels)) for split in _USES}
    origin = training_provenance(config, data)
    return DataCard(**origin.model_dump(), splits=splits, sha256=data.sha256(), beside=tuple(_beside(config)))


def _beside(config: DataConfig) -> Iterator[str]:
    for source in config.sources:
        data = open_labelled_set(source.kind, source.root)
        refs = [ref for event in source.events or data.events() for ref in data.chips(event)]
        found = provenance_of(data, refs)
        yield (
            f"{found.title}: {100 * source.weight:.0f} % of the crops, labels worth {source.label_weight:g} of a hand "
            f"label. Source: {found.source}. Licence: {found.licence}. {found.evidence}"
        )


def _split(name: str, refs: Sequence[ChipRef]) -> DataSplit:
    return DataSplit(chips=len(refs), events=len({ref.event for ref in refs}), use=_USES[name])
