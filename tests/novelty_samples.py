"""A bundle with figures of its training chips, for the tests of the science and of the assets."""

from __future__ import annotations

from collections.abc import Mapping

from drshym_pipeline.assessment.novelty import NoveltyModel
from drshym_pipeline.assessment.tile_measures import measure_names
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.records import BandMode


def with_novelty(bundle: ModelBundle, models: Mapping[BandMode, NoveltyModel]) -> ModelBundle:
    """Return a bundle with these models."""
    record = bundle.record.model_copy(update={"novelty": dict(models)})
    return ModelBundle(record, record.model_dump(mode="json"), bundle.weights)


def measured_once(mode: BandMode, limit: float) -> NoveltyModel:
    """Return a model of one made-up chip: a tile is unlike it above this distance."""
    names = measure_names(mode)
    precision = tuple(tuple(float(row == column) for column in range(len(names))) for row in range(len(names)))
    return NoveltyModel(
        measures=names,
        center=(0.0,) * len(names),
        precision=precision,
        limit=limit,
        false_alarm=0.02,
        chips=120,
        training_chips=500,
    )
