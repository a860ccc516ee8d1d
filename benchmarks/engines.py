"""Ways to run the shipped network on a CPU, with one tile per call and with many: time, and equality of the masks.

The fastest engine that does not change the masks should be used. The time that an engine needs before its first tile is
reported too, because a chip is mapped in less time than some engines need to convert a network.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Row, interleave, ratio
from drshym_pipeline.probabilities import encode, is_water, probability

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

COMMAND = "python -m benchmarks engines"
SAME_PIXELS, MEAN_DIFFERENCE = 0.999, 0.01
_SIDE = 512
_SCENES = 6  # number of simulated tiles on which the masks are compared
_MANY = 36  # number of tiles when many are computed
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def _tiles(bundle: ModelBundle) -> list[NDArray[np.float32]]:
    """Return the network input of simulated tiles, (1, C, 512, 512) each."""
    from drshym_pipeline.datasets.simulator.scene import simulate_scene
    from drshym_pipeline.model.inputs import network_input

    return [network_input(simulate_scene(seed, _SIDE, _SIDE).db, bundle.network.bands)[None] for seed in range(_SCENES)]


def _channels(bundle: ModelBundle) -> int:
    """Return the number of channels of the network input."""
    from drshym_pipeline.model.inputs import channels

    return len(channels(bundle.network.bands))


def _torch_run(network: Any, dtype: Any) -> Run:
    import torch

    def run(tile: NDArray[np.float32]) -> NDArray[np.float32]:
        inputs = torch.from_numpy(tile).to(dtype=dtype, memory_format=torch.channels_last)
        with torch.inference_mode():
            found: NDArray[np.float32] = network(inputs).float().numpy()
        return found

    return run


def _plain(bundle: ModelBundle) -> Run:
    import torch

    return _torch_run(bundle.build(), torch.float32)


def _shortened(bundle: ModelBundle) -> Run:
    import torch

    from drshym_pipeline.model.compute import prepare_network

    return _torch_run(prepare_network(bundle.build(), "fp32"), torch.float32)


def _ours(bundle: ModelBundle) -> Run:
    import torch

    from drshym_pipeline.model.compute import prepare_network

    return _torch_run(prepare_network(bundle.build(), "bf16"), torch.bfloat16)


def _compiled(bundle: ModelBundle) -> Run:
    import torch

    from drshym_pipeline.model.compute import prepare_network

    run = _torch_run(torch.compile(prepare_network(bundle.build(), "bf16")), torch.bfloat16)
    run(np.zeros((1, _channels(bundle), _SIDE, _SIDE), np.float32))
    return run


def _converted(bundle: ModelBundle) -> Any:
    import openvino
    import torch

    network = bundle.build()
    example = torch.zeros((1, _channels(bundle), _SIDE, _SIDE))
    model = openvino.convert_model(network, example_input=example)
    model.reshape(list(example.shape))
    return model


def _openvino(bundle: ModelBundle, precision: str) -> Run:
    import openvino

    compiled = openvino.Core().compile_model(_converted(bundle), "CPU", {"INFERENCE_PRECISION_HINT": precision})
    request = compiled.create_infer_request()
    return lambda tile: np.array(request.infer(tile)[0])


def _onnxruntime(bundle: ModelBundle) -> Run:
    import onnxruntime
    import torch

    network = bundle.build()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(network, (torch.zeros((1, _channels(bundle), _SIDE, _SIDE)),), str(path), dynamo=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda tile: np.asarray(session.run(None, {name: tile})[0])


def _many_by_us(bundle: ModelBundle, tiles: list[NDArray[np.float32]]) -> Callable[[], None]:
    """Return a function that computes tiles in several threads, as when a scene is mapped."""
    from drshym_pipeline.model.compute import TileNetwork, tiles_side_by_side

    network = TileNetwork(bundle.build(), "cpu", "bf16")

    def run() -> None:
        with tiles_side_by_side("cpu", len(tiles)) as workers, ThreadPoolExecutor(workers) as pool:
            deque(pool.map(network.logits, tiles), maxlen=0)

    return run


def _many_by_openvino(bundle: ModelBundle, tiles: list[NDArray[np.float32]]) -> Callable[[], None]:
    """Return a function that computes tiles in OpenVINO's own queue, compiled for throughput."""
    import openvino

    compiled = openvino.Core().compile_model(
        _converted(bundle), "CPU", {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "THROUGHPUT"}
    )
    requests = openvino.AsyncInferQueue(compiled)

    def run() -> None:
        for tile in tiles:
            requests.start_async({0: tile})
        requests.wait_all()

    return run


def measure_many(repeats: int = 5) -> Row:
    """Measure the tiles of a scene with the two fastest engines."""
    from drshym_pipeline.model.bundle import shipped_bundle

    bundle = shipped_bundle()
    tiles = _tiles(bundle) * (_MANY // _SCENES)
    samples = interleave({"ours": _many_by_us(bundle, tiles), "OpenVINO": _many_by_openvino(bundle, tiles)}, repeats)
    value = ratio(samples, "ours", "OpenVINO")
    return Row(
        what=f"{len(tiles)} tiles of 512 x 512 in the shipped network, bf16: side by side against OpenVINO's queue",
        measured=f"{value:.2f} x its time",
        asked="compared",
        met=True,
        command=COMMAND,
        samples=samples,
    )


def measure(repeats: int = 15) -> list[Row]:
    """Measure one row per engine, against plain PyTorch in fp32, and one row for many tiles."""
    from drshym_pipeline.model.bundle import shipped_bundle

    bundle = shipped_bundle()
    makers: dict[str, Callable[[], Run]] = {
        "torch, fp32": lambda: _plain(bundle),
        "torch, shortened, fp32": lambda: _shortened(bundle),
        "torch, shortened, bf16 (ours)": lambda: _ours(bundle),
        "OpenVINO, fp32": lambda: _openvino(bundle, "f32"),
        "OpenVINO, bf16": lambda: _openvino(bundle, "bf16"),
        "ONNX Runtime, fp32": lambda: _onnxruntime(bundle),
    }
    if shutil.which("g++"):
        makers["torch.compile, shortened, bf16"] = lambda: _compiled(bundle)
    runs: dict[str, Run] = {}
    ready: dict[str, float] = {}
    for name, make in makers.items():
        start = time.perf_counter()
        runs[name] = make()
        ready[name] = time.perf_counter() - start
    tiles = _tiles(bundle)
    samples = interleave({name: partial(run, tiles[0]) for name, run in runs.items()}, repeats)
    reference, *_ = makers
    calibration = bundle.calibration["vv_vh"]

    def chances(run: Run) -> NDArray[np.float32]:
        return np.stack([probability(run(tile)[0, 0], calibration) for tile in tiles])

    def masks(values: NDArray[np.float32]) -> NDArray[np.bool_]:
        return is_water(encode(values), calibration.threshold)

    exact = chances(runs[reference])
    rows = []
    for name, run in runs.items():
        found = chances(run)
        same = float((masks(found) == masks(exact)).mean())
        off = float(np.abs(found - exact).mean())
        ours = "ours" in name
        rows.append(
            Row(
                what=f"512 x 512 tile in the shipped network by {name}, against {reference}",
                measured=f"{ratio(samples, name, reference):.2f} x its time; {same:.3%} of mask pixels equal, "
                f"probabilities {off:.4f} apart; ready after {ready[name]:.1f} s",
                asked=f"masks {SAME_PIXELS:.1%} equal, {MEAN_DIFFERENCE} apart" if ours else "compared",
                met=not ours or (same >= SAME_PIXELS and off <= MEAN_DIFFERENCE),
                command=COMMAND,
                samples={name: samples[name], reference: samples[reference]},
            )
        )
    return [*rows, measure_many()]
