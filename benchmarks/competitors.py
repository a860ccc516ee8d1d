"""Alternatives that a user could choose for the same network and file: torchgeo's grid sampler, MONAI's sliding window.

Both run the network in our precision with all threads, and write mask and probability. Only the benchmark depends on
them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from benchmarks.original_method import write_maps
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE

if TYPE_CHECKING:
    import torch

    from drshym_pipeline.model.bundle import ModelBundle

_BATCH = 4
_STRIDE = DEFAULT_TILE - DEFAULT_OVERLAP


def _network_of(bundle: ModelBundle, bf16: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function from (N, C, H, W) input to (N, 1, H, W) float32 probability, as a user of PyTorch writes it."""
    import torch

    calibration = bundle.calibration["vv_vh"]
    network = bundle.build().eval()

    def probability(tiles: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = network(tiles.contiguous(memory_format=torch.channels_last)).float()
        return torch.sigmoid(logits / calibration.T + calibration.bias)

    return probability


def map_with_monai(source: Path, out: Path, bundle: ModelBundle, *, bf16: bool) -> None:
    """Map a scene with `monai.inferers.sliding_window_inference` over the whole scene as one tensor."""
    import torch
    from monai.inferers import sliding_window_inference

    from drshym_pipeline.model.inputs import network_input

    with rasterio.open(source) as scene:
        db = scene.read()
    inputs = torch.from_numpy(network_input(db, bundle.network.bands))[None]
    found = sliding_window_inference(
        inputs,
        roi_size=(DEFAULT_TILE, DEFAULT_TILE),
        sw_batch_size=_BATCH,
        predictor=_network_of(bundle, bf16),
        overlap=DEFAULT_OVERLAP / DEFAULT_TILE,
        mode="constant",
    )
    write_maps(source, out, np.asarray(found[0, 0]), np.isfinite(db).all(axis=0), bundle.calibration["vv_vh"].threshold)


def map_with_torchgeo(source: Path, out: Path, bundle: ModelBundle, *, bf16: bool, workers: int = 0) -> None:
    """Map a scene with torchgeo's `RasterDataset` and `GridGeoSampler` and a `DataLoader`; overlaps are averaged."""
    import torch
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import GridGeoSampler

    from drshym_pipeline.model.inputs import network_input

    class Scene(RasterDataset):  # type: ignore[misc]  # installed for the benchmarks only
        filename_glob = source.name

    def prepared(sample: dict[str, Any]) -> dict[str, Any]:
        sample["observed"] = torch.isfinite(sample["image"]).all(dim=0)
        sample["image"] = torch.from_numpy(network_input(sample["image"].numpy(), bundle.network.bands))
        return sample

    dataset = Scene(source.parent, transforms=prepared)
    sampler = GridGeoSampler(dataset, DEFAULT_TILE, _STRIDE)
    loader: DataLoader[dict[str, Any]] = DataLoader(
        dataset, batch_size=_BATCH, sampler=sampler, collate_fn=stack_samples, num_workers=workers
    )
    network = _network_of(bundle, bf16)
    with rasterio.open(source) as scene:
        height, width, transform = scene.height, scene.width, scene.transform
    # The last row and column of the sampler's windows extend beyond the scene.
    padded = (height + DEFAULT_TILE, width + DEFAULT_TILE)
    total, count = np.zeros(padded, np.float32), np.zeros(padded, np.float32)
    observed = np.zeros(padded, bool)
    for batch in loader:
        found: NDArray[np.float32] = network(batch["image"])[:, 0].numpy()
        for values, seen, (x, y, _) in zip(found, batch["observed"].numpy(), batch["bounds"], strict=True):
            # The sampler counts windows from the lower left corner, so the top windows begin above the scene.
            col, row = round((x.start - transform.c) / transform.a), round((y.stop - transform.f) / transform.e)
            top = max(row, 0)
            place = (slice(top, row + values.shape[0]), slice(col, col + values.shape[1]))
            total[place] += values[top - row :]
            count[place] += 1.0
            observed[place] |= seen[top - row :]
    total, count, observed = total[:height, :width], count[:height, :width], observed[:height, :width]
    threshold = bundle.calibration["vv_vh"].threshold
    write_maps(source, out, np.divide(total, np.maximum(count, 1.0), dtype=np.float32), observed, threshold)
