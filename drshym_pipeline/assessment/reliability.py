"""How reliable calibrated probabilities are: one record with all such figures of a set of pixels.

Each figure is a method of `LogitHistogram`; no single figure is enough. Dry land far from any water makes an expected
calibration error and a Brier score look good, so the pixels likely to be water and the uncertain pixels have figures of
their own.
"""

from __future__ import annotations

from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.records import Calibration, Record

WATER_SIDE = (0.5, 1.0)
UNCERTAIN = (0.1, 0.9)


class CalibrationFigures(Record):
    """Reliability of probabilities; a figure is None without a counted pixel, and in records of earlier releases.

    Args:
        log_loss: Mean negative log likelihood, in nats per pixel.
        brier: Mean squared difference of probability and label, in [0, 1].
        ece: Expected calibration error over 15 bins of equal width.
        ece_equal_mass: Expected calibration error over 15 bins with the same number of pixels.
        ece_water_side: Expected calibration error of the pixels with a probability of at least 0.5, over 8 bins of
            equal width between 0.5 and 1; None without such pixels.
        ece_uncertain: Expected calibration error of the pixels between 0.1 and 0.9, over 8 bins of equal width between
            them; None without such pixels.
        uncertain_share: The share of the pixels between 0.1 and 0.9 in all pixels.
        uncertain_predicted: The mean probability of those pixels; None without such pixels.
        uncertain_found: The share of water among those pixels; None without such pixels.
    """

    log_loss: float | None
    brier: float | None
    ece: float | None
    ece_equal_mass: float | None = None
    ece_water_side: float | None = None
    ece_uncertain: float | None = None
    uncertain_share: float | None = None
    uncertain_predicted: float | None = None
    uncertain_found: float | None = None


def water_side_ece(histogram: LogitHistogram, calibration: Calibration) -> float | None:
    """Return the expected calibration error of the pixels with a probability of at least 0.5; None without any."""
    return histogram.within(*WATER_SIDE, calibration.T, calibration.bias).ece


def calibration_figures(histogram: LogitHistogram, calibration: Calibration) -> CalibrationFigures:
    """Return every figure of one histogram under a calibration; `Calibration()` does not change the logits."""
    T, bias = calibration.T, calibration.bias
    uncertain = histogram.within(*UNCERTAIN, T, bias)
    return CalibrationFigures(
        log_loss=histogram.log_loss(T, bias),
        brier=histogram.brier(T, bias),
        ece=histogram.ece(T, bias),
        ece_equal_mass=histogram.ece_equal_mass(T, bias),
        ece_water_side=water_side_ece(histogram, calibration),
        ece_uncertain=uncertain.ece,
        uncertain_share=uncertain.share,
        uncertain_predicted=uncertain.predicted,
        uncertain_found=uncertain.found,
    )
