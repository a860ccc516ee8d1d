"""Check with the pixels which band is VV and which is VH; `bands` decides it from names and descriptions before."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.bands import choose_bands
from drshym_pipeline.sar.file_names import parse_name
from drshym_pipeline.sar.reader import OpenScene
from drshym_pipeline.sar.unit_evidence import OR_ORIGINAL, BandSample

# VV is above VH in 99 % of pixels. Below the first share the two bands are swapped; from the second share on, they are
# VV and VH. Between them they are something else, such as two dates.
_SWAPPED_BELOW: Final = 0.2
_ORDERED_FROM: Final = 0.8
_FEWEST_VALUES: Final = 100  # fewer say nothing about bands


def check_order(scene: OpenScene, samples: tuple[BandSample, ...]) -> tuple[BandSample, ...]:
    """Compare the values of VV and VH with their order, and exchange the roles of unnamed bands in the wrong order.

    Args:
        scene: The open scene; its roles and its warnings may change.
        samples: VV, and VH where there is one; the n-th values of both are of the same pixel.

    Returns:
        The samples in the right order, VV first.

    Raises:
        InputError: A band has one value only, named bands are swapped, or unnamed bands are not VV and VH.
    """
    if samples[0].values.size < _FEWEST_VALUES:
        return samples
    for sample, role in zip(samples, scene.roles, strict=True):
        if np.ptp(sample.values) == 0:
            raise InputError(
                role.path,
                f"band {role.band} has one value only ({sample.values[0]:g}): it is not backscatter",
                "Give a file with VV, or with VV and VH",
            )
    if len(scene.roles) < 2:
        return samples
    first, second = scene.roles
    vv, vh = samples[0].values, samples[1].values
    # Equal values are numbers for "no data" that have no tag.
    above = float((vv > vh)[vv != vh].mean()) if (vv != vh).any() else 1.0
    if above >= _ORDERED_FROM:
        return samples
    stated = first.stated or second.stated or first.path != second.path
    if not stated and above >= _SWAPPED_BELOW:
        raise InputError(
            first.path,
            f"its first band is above the second in {above:.0%} of pixels (99 % is usual for VV over VH), and no name "
            "says what they are",
            "Give a file with VV, or with VV and VH, and name the bands in their descriptions, or "
            + choose_bands([first.band]),
        )
    if stated and above < _SWAPPED_BELOW and _alike(vv, vh):
        raise InputError(
            first.path,
            f"VV and VH seem swapped: what is called VV is above VH in only {above:.0%} of pixels (99 % is usual)",
            f"If they are, {_exchange(scene)}; otherwise {OR_ORIGINAL}",
        )
    if stated:
        scene.warnings.append(
            f"the band called VV is above the one called VH in only {above:.0%} of pixels (99 % is usual); "
            "the two bands may be swapped"
        )
        return samples
    scene.use_roles([replace(second, polarisation="VV"), replace(first, polarisation="VH")])
    scene.warnings.append(
        f"the first band is above the second in only {above:.0%} of pixels (99 % is usual for VV over VH): "
        f"band {second.band} is read as VV and band {first.band} as VH"
    )
    return (replace(samples[1], polarisation="VV"), replace(samples[0], polarisation="VH"))


def _alike(vv: NDArray[np.float64], vh: NDArray[np.float64]) -> bool:
    """Return whether both bands have the sign of the same units: dB are above or below linear values in all pixels."""
    return bool((np.median(vv) < 0) == (np.median(vh) < 0))


def _exchange(scene: OpenScene) -> str:
    """Return how the user exchanges VV and VH, where the roles come from."""
    first, second = scene.roles
    if first.path == second.path:
        return choose_bands([second.band, first.band])
    files = [scene.facts_of(role) for role in scene.roles]
    ways = []
    if any(parse_name(facts.path.name).polarisation for facts in files):
        ways.append("exchange the names of the two files")
    if any(name is not None for facts in files for name in facts.described):
        ways.append("exchange the descriptions of their bands")
    return " and ".join(ways) or "give the two files in the other order"
