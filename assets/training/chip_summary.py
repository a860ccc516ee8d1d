"""What a data set of labelled chips looks like: counts by split and an example."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from drshym_pipeline.datasets.chips import ChipRef
    from drshym_pipeline.datasets.labelled_set import Labels
    from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11

_MOST_CHIPS = 600  # a split; the weak list of Sen1Floods11 has over four thousand chips and is sampled
_HARD = "hard"


def used_chips(data: "Sen1Floods11", labels: "Labels") -> "dict[str, list[ChipRef]]":
    """Return the chips that training, calibration and evaluation read, by split; other chips may be incomplete.

    Args:
        data: The data set.
        labels: Which labels are used for training; weakly labelled chips have a split of their own.
    """
    splits = ("train", "valid", "test", *((_HARD,) if _HARD in data.splits() else ()))
    used: dict[str, list[ChipRef]] = {}
    for ref in (ref for split in splits for ref in data.chips(split, labels)):
        used.setdefault(ref.split, []).append(ref)
    return used


def chip_table(used: "Mapping[str, Sequence[ChipRef]]") -> "pd.DataFrame":
    """Return one row per chip: split, chip, event, labelled share of its pixels, share of these that is water."""
    import pandas as pd

    from drshym_pipeline.datasets.chips import read_chip

    rows: list[dict[str, Any]] = []
    for split, chips in used.items():
        for ref in chips[:: max(1, -(-len(chips) // _MOST_CHIPS))]:
            label = read_chip(ref).label
            labelled = int((label >= 0).sum())
            rows.append(
                {
                    "split": split,
                    "chip": ref.chip_id,
                    "event": ref.event,
                    "labelled share": labelled / label.size,
                    "water share": int((label == 1).sum()) / labelled if labelled else 0.0,
                }
            )
    return pd.DataFrame(rows)


def split_table(chips: "pd.DataFrame") -> "pd.DataFrame":
    """Return chips, events, chips with water and mean water share of every split."""
    grouped = chips.groupby("split", sort=False)
    table = grouped.agg(
        chips=("chip", "size"),
        events=("event", "nunique"),
        with_water=("water share", lambda share: int((share > 0).sum())),
        water_share=("water share", "mean"),
        labelled_share=("labelled share", "mean"),
    )
    return table.reset_index()


def example_chip(
    used: "Mapping[str, Sequence[ChipRef]]", chips: "pd.DataFrame"
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return VV in dB and the label of the wettest chip: both (h, w), NaN where not observed or not labelled."""
    from drshym_pipeline.datasets.chips import read_chip

    best = chips.sort_values("water share", ascending=False).iloc[0]
    chip = read_chip(next(ref for ref in used[str(best["split"])] if ref.chip_id == best["chip"]))
    label = np.where(chip.label >= 0, chip.label, np.nan).astype(np.float32)
    return chip.db[0], label
