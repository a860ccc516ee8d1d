"""A large scene from its GeoTIFF to all its products, against the network alone and against other ways to map it.

All compared functions run in turn in this process, after one run of each that is not counted.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.bare_forward import bare_forward
from benchmarks.big_scene import USUAL_SCENE, write_big_scene
from benchmarks.competitors import map_with_monai, map_with_torchgeo
from benchmarks.measure import Row, interleave
from benchmarks.original_method import map_in_memory

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.records import MapRecord

COMMAND = "python -m benchmarks speed"
_BARE = {"all threads on one tile": False, "tiles side by side": True}
OF_BARE, OVER_ORIGINAL, OVER_OTHERS, MOST_DRAWING = 0.90, 4.0, 1.3, 0.12


def large_bundle(like: ModelBundle) -> ModelBundle:
    """Return a U-Net ResNet50 at full resolution with random weights; its maps have no meaning, but its speed has."""
    import torch

    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.model.network import build_network
    from drshym_pipeline.settings import NetworkConfig

    config = NetworkConfig(encoder="resnet50", bands=like.network.bands)
    with torch.random.fork_rng():
        torch.manual_seed(42)
        network = build_network(config)
    return ModelBundle.create(
        name="unet_resnet50_random",
        version="0",
        network=config,
        state=network.state_dict(),
        calibration=like.calibration,
        area_errors=like.area_errors,
        card=like.card,
        training_sha256=like.record.training_sha256,
    )


class _Ours:
    """Maps the scene as the command does, and keeps the records of the maps."""

    def __init__(self, source: Path, out: Path, bundle: ModelBundle) -> None:
        self._source, self._out, self._bundle = source, out, bundle
        self.records: list[MapRecord] = []

    def __call__(self) -> None:
        from drshym_pipeline.mapping import map_scene

        reference = self._bundle.reference("checkpoint")
        self.records.append(map_scene([self._source], self._out, self._bundle, reference))


def _share_of_bare(samples: dict[str, list[float]], scene: str) -> Row:
    """Return the row that compares our speed with the faster way to run the bare passes."""
    bare = min(_BARE, key=lambda way: statistics.median(samples[way]))
    value = statistics.median(a / b for a, b in zip(samples[bare], samples["ours"], strict=True))
    alone, ours = (statistics.median(samples[key]) for key in (bare, "ours"))
    return Row(
        what=f"{scene}, to all products: speed against its bare forward passes",
        measured=f"{value:.2f} ({ours:.1f} s against {alone:.1f} s, {bare})",
        asked=f"at least {OF_BARE:.2f}",
        met=value >= OF_BARE,
        command=COMMAND,
        samples={key: samples[key] for key in ("ours", *_BARE)},
    )


def _bare_ways(bundle: ModelBundle, shape: tuple[int, int], precision: Literal["fp32", "bf16"]) -> dict[str, Any]:
    return {way: bare_forward(bundle, shape, precision, side_by_side=side) for way, side in _BARE.items()}


def _faster(samples: dict[str, list[float]], other: str, what: str, asked: float) -> Row:
    value = statistics.median(a / b for a, b in zip(samples[other], samples["ours"], strict=True))
    return Row(
        what=what,
        measured=f"{value:.2f} x faster ({statistics.median(samples[other]):.1f} s)",
        asked=f"at least {asked:g} x",
        met=value >= asked,
        command=COMMAND,
        samples={key: samples[key] for key in ("ours", other)},
    )


def _rows_of(
    name: str, bundle: ModelBundle, source: Path, out: Path, *, shape: tuple[int, int], repeats: int
) -> list[Row]:
    """Measure the rows of one network."""
    from drshym_pipeline.model.compute import resolve_precision

    precision = resolve_precision("auto")
    bf16 = precision == "bf16"
    ours = _Ours(source, out / "ours", bundle)
    samples = interleave(
        {
            "ours": ours,
            **_bare_ways(bundle, shape, precision),
            "original": lambda: map_in_memory(source, out / "original", bundle),
            "torchgeo": lambda: map_with_torchgeo(source, out / "torchgeo", bundle, bf16=bf16),
            "torchgeo, 2 workers": lambda: map_with_torchgeo(source, out / "torchgeo2", bundle, bf16=bf16, workers=2),
            "monai": lambda: map_with_monai(source, out / "monai", bundle, bf16=bf16),
        },
        repeats,
    )
    scene = f"{shape[0]:,} x {shape[1]:,} dual-pol scene, {name}, {precision}"
    best = min(("torchgeo", "torchgeo, 2 workers", "monai"), key=lambda other: statistics.median(samples[other]))
    drawing = statistics.median(
        record.seconds["stitch"] / took for record, took in zip(ours.records[1:], samples["ours"], strict=True)
    )
    return [
        _share_of_bare(samples, scene),
        _faster(samples, "original", f"{scene}, against the original's method in fp32", OVER_ORIGINAL),
        _faster(samples, best, f"{scene}, against the better of torchgeo and MONAI ({best})", OVER_OTHERS),
        Row(
            what=f"{scene}: stitching, COGs, vectors and pictures as a share of the whole",
            measured=f"{drawing:.1%}",
            asked=f"under {MOST_DRAWING:.0%}",
            met=drawing < MOST_DRAWING,
            command=COMMAND,
            samples={"stitch": [record.seconds["stitch"] for record in ours.records[1:]]},
        ),
    ]


def measure(shape: tuple[int, int] = USUAL_SCENE, repeats: int = 2) -> list[Row]:
    """Measure the rows of one scene size, for the shipped network and for that of the original system."""
    from drshym_pipeline.model.bundle import shipped_bundle

    shipped = shipped_bundle()
    networks = {"shipped network": shipped, "U-Net ResNet50": large_bundle(shipped)}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source = write_big_scene(Path(folder) / "scene" / "scene.tif", shape)
        for name, bundle in networks.items():
            rows += _rows_of(name, bundle, source, Path(folder) / name, shape=shape, repeats=repeats)
    return rows
