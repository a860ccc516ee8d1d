"""A threshold of water that the user chooses for one map, instead of the threshold of the model.

The probabilities do not change, so the tiles are predicted as without it. Everything that follows from the threshold is
made from the prediction that `at_threshold` returns: the mask, the areas, the texts and the version of the map.
"""

from __future__ import annotations

from numbers import Real
from typing import Final

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.errors import InputError
from drshym_pipeline.probabilities import PROBABILITY_STEPS, threshold_steps
from drshym_pipeline.records import threshold_reason
from drshym_pipeline.scene_folder import Prediction

_REMEDY: Final = "Choose a probability such as 0.4, or leave it out to use the threshold of the model"


def check_threshold(threshold: float | None) -> float | None:
    """Return the option `threshold` as it is compared with stored probabilities.

    Stored probabilities are whole steps of 1e-4. A threshold between two steps gives the same map as the upper one, so
    the upper one is returned: it can be printed without loss.

    Args:
        threshold: The probability from which a pixel is water, in (0, 1); None for the threshold of the model.

    Raises:
        InputError: It is not between 0 and 1.
    """
    if threshold is None:
        return None
    # NaN fails the comparison too.
    if not isinstance(threshold, Real) or isinstance(threshold, bool) or not 0.0 < threshold < 1.0:
        raise InputError("threshold", f"must be between 0 and 1, without both ends, got {threshold}", _REMEDY)
    steps = max(threshold_steps(float(threshold)), 1)
    # Above 0.9999 the upper step is 1, which is not a threshold; only pixels with the probability 1 are water.
    return steps / PROBABILITY_STEPS if steps < PROBABILITY_STEPS else float(threshold)


def at_threshold(prediction: Prediction, threshold: float | None) -> Prediction:
    """Return a prediction with another threshold of water.

    The model's area errors were fitted on masks with its own threshold. They say nothing about other masks, so the
    interval of the area is the whole observed area.

    Args:
        prediction: What the model predicted, with its own threshold.
        threshold: As `check_threshold` returns it. With None, or a threshold that gives the same mask as that of the
            model, the prediction is returned as it is.
    """
    calibration = prediction.summary.calibration
    if threshold is None or threshold_steps(threshold) == threshold_steps(calibration.threshold):
        return prediction
    errors = _WholeArea(
        level=prediction.area_errors.nominal_level,
        nominal_level=prediction.area_errors.nominal_level,
        reason=threshold_reason(threshold, calibration.threshold),
    )
    summary = prediction.summary.model_copy(
        update={
            "calibration": calibration.model_copy(update={"threshold": threshold}),
            "model_threshold": calibration.threshold,
        }
    )
    return prediction.model_copy(update={"summary": summary, "area_errors": errors})


class _WholeArea(AreaErrorModel):
    """No area errors are known, for a reason that the texts of the map give.

    Args:
        reason: A clause.
    """

    reason: str

    @property
    def method(self) -> str:
        """One line for the record that says what the interval is."""
        return f"0 to the whole observed area, because {self.reason}"

    def source(self, data: str | None) -> str:
        """Return what the interval is, as a part of a sentence."""
        del data  # the validation chips say nothing about this interval
        return f"which is the whole observed area, because {self.reason}"
