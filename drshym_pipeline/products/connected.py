"""Which water pixels belong to one area: the one rule for the minimum area and for the polygons.

Pixels of one area share an edge; a shared corner is not enough. GDAL's `sieve` and `polygonize` have the same default.
An outline over corners would touch itself, which the OGC standard for polygons forbids. With one rule, no polygon of
an area is smaller than the minimum area of the map.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

CONNECTIVITY: Final = 4  # the neighbours of a pixel
_STEPS = 1  # along one axis, from a pixel to its neighbour


def labelled(water: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Return the area of each pixel of (rows, width) water, from 1 on and 0 where it is dry, and their number."""
    labels = np.empty(water.shape, np.int32)
    count = ndimage.label(water, ndimage.generate_binary_structure(water.ndim, _STEPS), output=labels)
    return labels, int(count)


def joined(
    above: NDArray[np.int64], below: NDArray[np.integer[Any]], known: int, fresh: int
) -> tuple[int, NDArray[np.int64]]:
    """Join the areas on both sides of a seam between two strips of rows.

    Args:
        above: (width,) the area of each pixel of the row above the seam, from 1 on; 0 where it is dry.
        below: (width,) the same for the row below.
        known: The number of areas above.
        fresh: The number of areas below.

    Returns:
        The number of joined areas, and (known + fresh,) the joined area of each area above and then below, from 0 on.
    """
    total = known + fresh
    if not total:
        return 0, np.zeros(0, np.int64)
    both = (above > 0) & (below > 0)
    upper, lower = above[both] - 1, below[both].astype(np.int64) - 1 + known
    links = coo_array((np.ones(len(upper), bool), (upper, lower)), shape=(total, total))
    count, area_of = connected_components(links, directed=False)
    return int(count), area_of.astype(np.int64)
