"""One sealed model on labelled chips: which bands a chip is mapped with, its logits and its mask.

The same road as a map takes (`probability`, `encode`, `is_water`), so that what is scored and what is shown is what a
map would say. What the masks are compared with is `evaluate`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.datasets.chips import LabelledChip
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.smoothing import observed_everywhere
from drshym_pipeline.probabilities import encode, is_water, probability
from drshym_pipeline.records import BandMode, PrecisionOption

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

Mode = Literal["auto", "vv", "vv_vh"]

_BOTH = 2


def usable_logits(chip: LabelledChip, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) outputs of a chip, NaN where nothing can be said: a band was not observed, or the output is not finite."""
    return np.where(observed_everywhere(chip.db) & np.isfinite(logits), logits, np.float32(np.nan))


class ChipMapper:
    """A network built once, in one mode.

    Args:
        bundle: The sealed model.
        mode: Bands to use. `auto` takes VH where the chip has it and the model reads it.
        device: Where the network runs.
        precision: See `predict_logits`.

    Raises:
        InputError: The model cannot serve the mode.
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
        """The bands a chip is mapped with.

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
        """(chips, h, w) raw outputs of chips of one size."""
        from drshym_pipeline.model.inputs import network_input

        bands = 1 if mode == "vv" else _BOTH
        return self._predict(np.stack([network_input(chip.db[:bands], self.bundle.network.bands) for chip in chips]))

    def water(self, usable: NDArray[np.float32], mode: BandMode) -> NDArray[np.bool_]:
        """The (h, w) mask of `usable_logits`: never water where they are NaN."""
        calibration = self.bundle.calibration[mode]
        return is_water(encode(probability(usable, calibration)), calibration.threshold)

    def map_chip(self, chip: LabelledChip) -> NDArray[np.bool_]:
        """The (h, w) mask of one chip."""
        mode = self.mode_of(chip)
        return self.water(usable_logits(chip, self.logits([chip], mode)[0]), mode)
