"""Which states a map can have, and their names, for legends, pixels and shares."""

from __future__ import annotations

from drshym_pipeline.records import MapRecord
from drshym_pipeline.states import DRY, EXCLUDED, FLOODED, MASK_NOT_OBSERVED, PERMANENT, flooded_state, mask_labels


def state_texts(record: MapRecord) -> dict[int, str]:
    """Return the name of each value of a mask in words."""
    return mask_labels(water_separated=record.water_separated) | {FLOODED: flooded_state(record.separation)}


def legend_states(record: MapRecord) -> frozenset[int]:
    """Return the values that the mask of a map can have, also if no pixel has them."""
    found = {DRY, FLOODED, MASK_NOT_OBSERVED}
    found |= {PERMANENT} if record.water_separated else set()
    found |= set() if record.exclusion is None else {EXCLUDED}
    return frozenset(found)
