"""Pictures of a few validation chips with the output of the network at one step. No figure is computed from them.

This module uses NumPy, SciPy and Pillow only. `loop` decides when pictures are made; the caller decides where they are
kept.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.special import expit

EXAMPLES = 3
_DARK, _BRIGHT = 0.1, 0.95  # of network input: -27 to -1.5 dB, from calm water to a city
_UNKNOWN = 128
_GAP = 4  # pixels of white between two panels


def choose_examples(water: NDArray[np.int64], labelled: NDArray[np.int64], count: int = EXAMPLES) -> tuple[int, ...]:
    """Choose chips with water and dry land, from little water to much.

    Args:
        water: (n,) number of water pixels per chip.
        labelled: (n,) number of labelled pixels per chip.
        count: Largest number of chips.

    Returns:
        Indices of chips; the same arguments always give the same chips. Fewer than `count` where fewer chips have both
        water and dry land.
    """
    mixed = np.flatnonzero((water > 0) & (water < labelled))
    ordered = mixed[np.argsort(water[mixed] / labelled[mixed], kind="stable")]
    places = (np.arange(count) + 0.5) / count * len(ordered)
    return tuple(dict.fromkeys(int(ordered[int(place)]) for place in places)) if len(ordered) else ()


def example_png(
    vv: NDArray[np.float32], truth: NDArray[np.float32], mask: NDArray[np.bool_], logits: NDArray[np.float32]
) -> bytes:
    """Draw one chip as a grey PNG with three panels: VV, truth, probability of water before calibration.

    Args:
        vv: (h, w) network input of VV, in [0, 1].
        truth: (h, w) label, 1 water and 0 dry.
        mask: (h, w) True where labelled; other pixels of the truth are grey.
        logits: (h, w) output of the network.
    """
    panels = [
        np.clip((vv - _DARK) / (_BRIGHT - _DARK), 0.0, 1.0) * 255,
        np.where(mask, truth * 255, _UNKNOWN),
        expit(logits) * 255,
    ]
    gap = np.full((vv.shape[0], _GAP), 255.0)
    picture = np.hstack([panels[0], gap, panels[1], gap, panels[2]])
    buffer = io.BytesIO()
    Image.fromarray(np.round(picture).astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
