"""Description of a data set of labelled chips, as the record that is stored with a model trained on it.

Texts and counts only; the Markdown is written together with the model's own card. The texts come from `provenance`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from drshym_pipeline.datasets.provenance import Provenance, provenance_of
from drshym_pipeline.datasets.sources import list_calibration, list_sources
from drshym_pipeline.records import DataCard, DataSplit, counted

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
    """Return the origin of the chips that a recipe uses for training, validation and scores.

    Raises:
        InputError: A chip that a list names is missing, or `dataset.json` cannot be used.
    """
    return provenance_of(data, [ref for split in _USES for ref in data.chips(split, config.labels)])


def describe_data(config: DataConfig, data: Sen1Floods11) -> DataCard:
    """Return the card of the data that a model is trained on.

    Args:
        config: Configuration with the kind of labels and the additional training sources.
        data: The chips.

    Raises:
        InputError: A chip that a list names is missing, or `dataset.json` cannot be used.
    """
    splits = {split: _split(split, data.chips(split, config.labels)) for split in _USES}
    origin = training_provenance(config, data)
    return DataCard(**origin.model_dump(), splits=splits, sha256=data.sha256(), beside=tuple(_beside(config)))


def describe_sources(config: DataConfig) -> list[Provenance]:
    """Return the origin of the chips of each additional training source, in the order of the configuration.

    Raises:
        InputError: A source lacks its layout or a chip, or `dataset.json` cannot be used.
    """
    return [provenance_of(data, refs) for data, refs in list_sources(config)]


def _beside(config: DataConfig) -> Iterator[str]:
    for source, found in zip(config.sources, describe_sources(config), strict=True):
        yield (
            f"{found.title}: {100 * source.weight:.0f} % of the crops, labels worth {source.label_weight:g} of a hand "
            f"label. Source: {found.source}. Licence: {found.licence}. {found.evidence}"
        )
    for calibration, (data, refs) in zip(config.calibration, list_calibration(config), strict=True):
        found = provenance_of(data, refs)
        events = ", ".join(dict.fromkeys(ref.event for ref in refs))
        yield (
            f"{found.title} ({counted(len(refs), 'chip')}: {events}): only for calibration, "
            f"{100 * calibration.weight:.0f} % of the weight. Source: {found.source}. Licence: {found.licence}. "
            f"{found.evidence}"
        )


def _split(name: str, refs: Sequence[ChipRef]) -> DataSplit:
    return DataSplit(chips=len(refs), events=len({ref.event for ref in refs}), use=_USES[name])
