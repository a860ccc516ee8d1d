"""Pictures of a few validation chips as the network sees them at one step: for the eye, not for any figure.

NumPy and Pillow only. When they are made is the loop's business, where they go the caller's.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.special import expit

EXAMPLES = 3
_DARK, _BRIGHT = 0.1, 0.95  # of network input: -27 to -1.5 dB, from the calmest water to a city
_UNKNOWN = 128
_GAP = 4  # pixels of white between two panels


def choose_examples(water: NDArray[np.int64], labelled: NDArray[np.int64], count: int = EXAMPLES) -> tuple[int, ...]:
    """Chips that show something: with water and dry land, spread from little water to much.

    Args:
        water: (n,) water pixels by chip.
        labelled: (n,) labelled pixels by chip.
        count: How many at most.

    Returns:
        Indices of chips, a function of the arguments alone; fewer where there are fewer such chips.
    """
    mixed = np.flatnonzero((water > 0) & (water < labelled))
    ordered = mixed[np.argsort(water[mixed] / labelled[mixed], kind="stable")]
    places = (np.arange(count) + 0.5) / count * len(ordered)
    return tuple(dict.fromkeys(int(ordered[int(place)]) for place in places)) if len(ordered) else ()


def example_png(
    vv: NDArray[np.float32], truth: NDArray[np.float32], mask: NDArray[np.bool_], logits: NDArray[np.float32]
) -> bytes:
    """One chip as a grey PNG of three panels: VV, truth, probability of water before calibration.

    Args:
        vv: (h, w) network input of VV, 0 to 1.
        truth: (h, w) 1 water, 0 dry.
        mask: (h, w) True where labelled; drawn grey elsewhere.
        logits: (h, w).
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
