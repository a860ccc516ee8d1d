"""How unlike the training chips a tile is: the Mahalanobis distance of its measures, compared with validation chips.

The measures are in `tile_measures`. Their mean and covariance come from training chips, with the shrinkage of O. Ledoit
and M. Wolf (A well-conditioned estimator for large-dimensional covariance matrices, 2004). K. Lee et al. (A Simple
Unified Framework for Detecting Out-of-Distribution Samples, 2018) use the same distance. The limit is the conformal
quantile of the distances of validation chips, so a chip of the same kind is above it with a known probability. The
score does not use the network: it says that the input is unusual, not that the map is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from drshym_pipeline.assessment.tile_measures import measure_names, tile_measures
from drshym_pipeline.records import BandMode, SceneNovelty
from drshym_pipeline.settings import Section

FALSE_ALARM: Final = 0.02
MINIMUM_CHIPS: Final = 20  # for training and validation each; with fewer, no limit could be stated
NO_FIGURES: Final = "the model has no figures of its training chips"
RESAMPLED: Final = "the pixels are resampled, and the model has figures of 10 m pixels only"
TOO_SMALL: Final = "no tile has enough observed pixels"
_DIGITS = 4


class NoveltyModel(Section):
    """The measures of the training chips, and the limit from the validation chips.

    Args:
        measures: Names of the measures, as `tile_measures.measure_names` returns them.
        center: Their means over the training chips.
        precision: The inverse of their covariance, one row per measure.
        limit: The distance above which a tile is unlike the training chips.
        false_alarm: The probability that a chip like the validation chips is above the limit.
        chips: Number of validation chips.
        training_chips: Number of training chips.
    """

    measures: tuple[str, ...]
    center: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    limit: float = Field(gt=0.0, allow_inf_nan=False)
    false_alarm: float = Field(gt=0.0, lt=1.0)
    chips: int = Field(ge=1)
    training_chips: int = Field(ge=1)

    @model_validator(mode="after")
    def _has_one_size(self) -> Self:
        count = len(self.measures)
        if {len(self.center), len(self.precision), *map(len, self.precision)} != {count}:
            raise ValueError("center and precision must have one value per measure")
        return self

    def is_for(self, mode: BandMode) -> bool:
        """Return whether the measures are those that this program computes for a band mode."""
        return self.measures == measure_names(mode)

    def score(self, measures: NDArray[np.float64]) -> float:
        """Return the distance of (measures,) from the training chips, divided by the limit."""
        away = measures - np.array(self.center)
        square = float(away @ np.array(self.precision) @ away)
        return round(math.sqrt(max(square, 0.0)) / self.limit, _DIGITS)


def fit_novelty(
    mode: BandMode, training: NDArray[np.float64], validation: NDArray[np.float64], false_alarm: float = FALSE_ALARM
) -> NoveltyModel | None:
    """Fit the model of one band mode.

    Args:
        mode: The bands of the measures.
        training: (chips, measures) of the training chips.
        validation: (chips, measures) of the validation chips.
        false_alarm: The requested probability of a false alarm. With too few chips for it, the limit is the largest
            distance of a validation chip, and the probability is that of one more chip above it.

    Returns:
        None when there are too few chips, or when they do not differ.
    """
    if min(len(training), len(validation)) < MINIMUM_CHIPS:
        return None
    from sklearn.covariance import LedoitWolf

    center, scale = training.mean(axis=0), training.std(axis=0)
    scale[scale == 0.0] = 1.0
    # The measures have different units, and the shrinkage treats all of them alike.
    precision = LedoitWolf().fit((training - center) / scale).precision_ / np.outer(scale, scale)
    away = validation - center
    distances = np.sort(np.sqrt(np.einsum("ij,jk,ik->i", away, precision, away)))
    count = len(distances)
    rank = min(math.ceil((count + 1) * (1 - false_alarm)), count)
    if not distances[rank - 1] > 0.0:  # all chips are the same
        return None
    return NoveltyModel(
        measures=measure_names(mode),
        center=tuple(center.tolist()),
        precision=tuple(tuple(row) for row in precision.tolist()),
        limit=float(distances[rank - 1]),
        false_alarm=(count + 1 - rank) / (count + 1),
        chips=count,
        training_chips=len(training),
    )


class TileScores:
    """The scores of the tiles of one scene; several threads may add tiles in any order.

    Args:
        model: The model of the scene's band mode.
        tiles: Number of tiles of the scene.
    """

    def __init__(self, model: NoveltyModel, tiles: int) -> None:
        self._model = model
        self._scores: list[float | None] = [None] * tiles

    def add(self, index: int, codes: NDArray[np.uint16]) -> None:
        """Score a tile, (bands, height, width) stored codes of the bands of the mode."""
        measures = tile_measures(codes)
        if measures is not None:
            self._scores[index] = self._model.score(measures)

    @property
    def scores(self) -> tuple[float | None, ...]:
        """The score of every tile in the order of the grid, None for a tile with too few observed pixels."""
        return tuple(self._scores)

    def summary(self) -> SceneNovelty:
        """Return the record of the scene."""
        return scene_novelty(self._model, self._scores)


def scene_novelty(model: NoveltyModel, scores: Sequence[float | None]) -> SceneNovelty:
    """Return the record of a scene from the scores of its tiles."""
    known = [score for score in scores if score is not None]
    if not known:
        return SceneNovelty(reason=TOO_SMALL)
    return SceneNovelty(
        tiles=len(known),
        unlike=sum(score > 1.0 for score in known),
        score=float(np.median(known)),
        false_alarm=model.false_alarm,
        chips=model.chips,
    )
