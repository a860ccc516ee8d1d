"""Models with given intervals of the flooded area, or without any, as models of earlier releases are."""

from __future__ import annotations

import copy
import json

from drshym_pipeline.assessment.flood_interval import FloodErrors, PartInterval
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.bundle_record import BundleRecord


def part(expected: float = 0.9, factor: float = 1.5, **values: float) -> PartInterval:
    """Return the interval of one part of the water."""
    return PartInterval(
        expected=expected, spread=(0.8, 0.1, 0.2), factor=factor, level=0.9, chips=120, events=40, **values
    )


ERRORS = FloodErrors(flooded=part(empty_high=0.01), other_water=part(expected=0.8, empty_high=0.02))


def with_flood(bundle: ModelBundle, errors: FloodErrors | None) -> ModelBundle:
    """Return a model with these intervals of the flooded area in every band mode."""
    document = copy.deepcopy(dict(bundle.document))
    for mode in document["area_errors"].values():
        mode["flood"] = None if errors is None else errors.model_dump(mode="json")
    return ModelBundle(BundleRecord.model_validate_json(json.dumps(document)), document, bundle.weights)
