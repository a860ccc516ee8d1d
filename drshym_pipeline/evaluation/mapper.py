"""One sealed model on labelled chips: which bands a chip is mapped with, its logits and its mask.

Masks are computed with the same functions as a map (`probability`, `encode`, `is_water`), so the scores are those of a
map. The masks are compared with the truth in `evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.scene_signs import SceneSigns, SignCounts, used_bands
from drshym_pipeline.datasets.chips import LabelledChip
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.smoothing import observed_everywhere
from drshym_pipeline.probabilities import encode, is_water, probability
from drshym_pipeline.records import BandMode, PrecisionOption
from drshym_pipeline.sar.codes import encode_db

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

Mode = Literal["auto", "vv", "vv_vh"]

_BOTH = 2


def usable_logits(chip: LabelledChip, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (h, w) outputs of a chip, NaN where a band was not observed or the output is not finite."""
    return np.where(observed_everywhere(chip.db) & np.isfinite(logits), logits, np.float32(np.nan))


class ChipMapper:
    """A network that is built once and maps chips in one mode.

    Args:
        bundle: The sealed model.
        mode: Bands to use. `auto` uses VH where the chip has it and the model reads it.
        device: Device on which the network runs.
        precision: Precision of the network, see `predict_logits`.

    Raises:
        InputError: The model has no calibration for the mode.
    """

    def __init__(
        self, bundle: ModelBundle, mode: Mode = "auto", device: str = "cpu", precision: PrecisionOption = "fp32"
    ) -> None:
        import torch

        from drshym_pipeline.model.predict import predict_logits

        if mode != "auto" and mode not in bundle.calibration:
            served = ", ".join(bundle.calibration)
            raise InputError("mode", f"model {bundle.name} cannot serve '{mode}'", f"Use one of: auto, {served}")
        self.bundle, self.mode = bundle, mode
        network = bundle.build(device)
        self.weights_finite = all(bool(torch.isfinite(values).all()) for values in network.state_dict().values())
        self._predict: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda inputs: predict_logits(
            network, inputs, device=device, precision=precision
        )

    def mode_of(self, chip: LabelledChip) -> BandMode:
        """Return the bands that a chip is mapped with.

        Raises:
            InputError: The chip lacks one of them.
        """
        both = len(chip.db) == _BOTH
        if self.mode == "vv_vh" and not both:
            raise InputError(chip.ref.image, "has no VH band", "Evaluate it with mode auto or vv")
        if self.mode == "auto":
            return self.bundle.serving_mode("vv_vh" if both else "vv")
        return self.mode

    def logits(self, chips: Sequence[LabelledChip], mode: BandMode) -> NDArray[np.float32]:
        """Compute the logits of chips of one size, (chips, h, w)."""
        from drshym_pipeline.model.inputs import network_input

        bands = 1 if mode == "vv" else _BOTH
        return self._predict(np.stack([network_input(chip.db[:bands], self.bundle.network.bands) for chip in chips]))

    def water(self, usable: NDArray[np.float32], mode: BandMode) -> NDArray[np.bool_]:
        """Compute the (h, w) mask of `usable_logits`; pixels with NaN are never water."""
        calibration = self.bundle.calibration[mode]
        return is_water(encode(probability(usable, calibration)), calibration.threshold)

    def signs(self, chip: LabelledChip, usable: NDArray[np.float32], mode: BandMode) -> SceneSigns:
        """Count the signs of a chip over its scored pixels: those with a label and with `usable_logits`."""
        calibration = self.bundle.calibration[mode]
        scored = (chip.label >= 0) & ~np.isnan(usable)
        counts = SignCounts()
        counts.add(
            encode(np.where(scored, probability(usable, calibration), np.float32(np.nan))),
            encode_db(np.where(scored, chip.db[: used_bands(mode)], np.float32(np.nan))),
        )
        return counts.signs(calibration.threshold)

    def map_chip(self, chip: LabelledChip) -> NDArray[np.bool_]:
        """Compute the (h, w) mask of one chip."""
        mode = self.mode_of(chip)
        return self.water(usable_logits(chip, self.logits([chip], mode)[0]), mode)
