"""The intervals of the flooded area: fitted when a bundle is sealed, or added to a bundle that was sealed without them.

Adding them needs no training: the weights, the calibration and all other parts of the bundle stay as they are.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from drshym_pipeline.assessment.flood_interval import FloodErrors, fit_flood_errors
from drshym_pipeline.datasets.chips import ChipRef, InvalidLabel
from drshym_pipeline.datasets.sources import short_digest
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.bundle_record import BundleRecord
from drshym_pipeline.model.compute import best_device
from drshym_pipeline.model.inputs import network_input
from drshym_pipeline.model.predict import predict_logits
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import BandMode, Calibration
from drshym_pipeline.training.flood_pairs import count_pairs, has_pair


def fit_flood_areas(
    network: nn.Module,
    bands: BandMode,
    refs: Sequence[ChipRef],
    calibrations: Mapping[BandMode, Calibration],
    *,
    level: float,
    device: str,
    invalid_label: InvalidLabel = "ignore",
    progress: Progress = silent,
) -> dict[BandMode, FloodErrors | None]:
    """Fit the intervals in every band mode.

    Args:
        network: The network, on `device`.
        bands: The bands that it reads.
        refs: The validation chips; those without a scene from before are left out.
        calibrations: The calibration of each band mode.
        level: Requested coverage, in (0, 1).
        device: Device of the network.
        invalid_label: What to do with pixels of label -1, see `chips.read_chip`.
        progress: Called after every pair.

    Returns:
        The intervals by band mode; None with fewer than 20 pairs.

    Raises:
        InputError: A chip cannot be read.
    """

    def to_logits(db: NDArray[np.float32]) -> NDArray[np.float32]:
        inputs = network_input(db, bands)[np.newaxis]
        (logits,) = predict_logits(network, inputs, device=device, precision="fp32")
        return np.asarray(logits, np.float32)

    return {
        mode: fit_flood_errors(
            count_pairs(refs, mode, calibration, to_logits, invalid_label=invalid_label, progress=progress), level
        )
        for mode, calibration in calibrations.items()
    }


def with_flood_errors(bundle: ModelBundle, refs: Sequence[ChipRef], progress: Progress = silent) -> ModelBundle:
    """Return a bundle with the intervals of the flooded area added, fitted on its own validation chips.

    Args:
        bundle: The bundle.
        refs: The validation chips that it was calibrated on, each with a scene from before.
        progress: Called after every pair.

    Raises:
        InputError: A chip has no scene from before, the bundle was not calibrated on a chip, or there are too few.
    """
    known = set(bundle.fitted_chips.calibration if bundle.fitted_chips else ())
    for ref in refs:
        if not has_pair(ref):
            raise InputError(ref.image, "has no scene from before the flood", "Give the simulated validation chips")
        if short_digest(ref) not in known:
            raise InputError(
                ref.image,
                f"is not a chip that {bundle.version} was calibrated on",
                "Give the validation chips of the recipe that it was trained with",
            )
    device = best_device()
    found = fit_flood_areas(
        bundle.build(device),
        bundle.network.bands,
        refs,
        bundle.calibration,
        level=next(iter(bundle.area_errors.values())).nominal_level,
        device=device,
        progress=progress,
    )
    document = copy.deepcopy(dict(bundle.document))
    for mode, errors in found.items():
        if errors is None:
            raise InputError("validation chips", f"{len(refs)} are too few for an interval", "Give at least 20")
        document["area_errors"][mode]["flood"] = errors.model_dump(mode="json")
    return ModelBundle(BundleRecord.model_validate_json(json.dumps(document)), document, bundle.weights)
