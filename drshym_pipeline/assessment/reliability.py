"""How far calibrated probabilities are from what they say: one record of all such figures of a set of pixels.

Each figure is a method of `LogitHistogram`; no single one will do. Dry land far from any water flatters an expected
calibration error and a Brier score, so the water side and the uncertain pixels are judged apart.
"""

from __future__ import annotations

from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.records import Calibration, Record

WATER_SIDE = (0.5, 1.0)
UNCERTAIN = (0.1, 0.9)


class CalibrationFigures(Record):
    """How far probabilities are from what they say; None without a counted pixel, or where a record is older.

    Args:
        log_loss: Mean negative log likelihood, in nats a pixel.
        brier: Mean squared difference of probability and label, in [0, 1].
        ece: Expected calibration error over 15 bins of equal width.
        ece_equal_mass: The same over 15 bins of equally many pixels.
        ece_water_side: Of the pixels with a probability of at least 0.5, over 8 bins of equal width between 0.5 and 1;
            None when there are none.
        ece_uncertain: Of the pixels between 0.1 and 0.9, over 8 bins of equal width between them; None when there are
            none, as the last two.
        uncertain_share: The share of all pixels between 0.1 and 0.9.
        uncertain_predicted: The mean probability of those pixels.
        uncertain_found: The share of water among them.
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
    """Expected calibration error of the pixels with a probability of at least 0.5; None when there are none."""
    return histogram.within(*WATER_SIDE, calibration.T, calibration.bias).ece


def calibration_figures(histogram: LogitHistogram, calibration: Calibration) -> CalibrationFigures:
    """Every figure of one histogram under a calibration; `Calibration()` is no scaling at all."""
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
