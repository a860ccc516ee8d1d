"""The method of the original system: in memory, fp32, one tile per call, overlaps averaged by count.

It is written again here, with the same tiles, overlap and number of threads as ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from numpy.typing import NDArray

from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE, TileGrid

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle


def write_maps(
    source: Path, out: Path, probability: NDArray[np.float32], observed: NDArray[np.bool_], threshold: float
) -> None:
    """Write mask and probability as plain deflated GeoTIFFs on the source's grid.

    Args:
        source: The scene.
        out: Folder to write to.
        probability: (h, w) float32 in [0, 1].
        observed: (h, w) bool.
        threshold: Probability from which a pixel is water.
    """
    out.mkdir(parents=True, exist_ok=True)
    with rasterio.open(source) as scene:
        profile = {"driver": "GTiff", "count": 1, "height": scene.height, "width": scene.width, "crs": scene.crs,
                   "transform": scene.transform, "compress": "deflate", "tiled": True}  # fmt: skip
    mask = np.where(observed, probability >= threshold, 255).astype(np.uint8)
    stored = np.where(observed, np.rint(probability * 10_000), 65_535).astype(np.uint16)
    with rasterio.open(out / "mask.tif", "w", **profile, dtype="uint8", nodata=255) as target:
        target.write(mask, 1)
    with rasterio.open(out / "proba.tif", "w", **profile, dtype="uint16", nodata=65_535) as target:
        target.write(stored, 1)


def map_in_memory(source: Path, out: Path, bundle: ModelBundle) -> None:
    """Map a scene with VV and VH in dB."""
    import torch

    from drshym_pipeline.model.inputs import network_input

    calibration = bundle.calibration["vv_vh"]
    network = bundle.build().eval()
    with rasterio.open(source) as scene:
        db = scene.read()
    inputs = network_input(db, bundle.network.bands)
    height, width = db.shape[1:]
    total, count = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for window in TileGrid(height, width, DEFAULT_TILE, DEFAULT_OVERLAP):
        place = (window.rows, window.cols)
        with torch.inference_mode():
            tile = torch.from_numpy(np.ascontiguousarray(inputs[:, window.rows, window.cols]))[None]
            logits = network(tile)[0, 0] / calibration.T + calibration.bias
            total[place] += torch.sigmoid(logits).numpy()
        count[place] += 1.0
    observed = np.isfinite(db).all(axis=0)
    write_maps(source, out, np.divide(total, count, dtype=np.float32), observed, calibration.threshold)
