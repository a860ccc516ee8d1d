"""Time of a map with the checks of its values, against the same map without them.

Without the checks, nothing samples the scene, finds its units, compares its values with backscatter, looks for repeated
values, or decides which zeros are a border; the file is read as dB, as if all of this were known. The two ways run in
turn in this process.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.big_scene import USUAL_SCENE, write_big_scene
from benchmarks.chip_overhead import write_chip
from benchmarks.measure import Row, interleave

COMMAND = "python -m benchmarks checks"
MOST, REPEATS = 1.05, 5
_CHIPS_AT_ONCE = 9  # maps of a chip that are measured together: one takes only some tenths of a second


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Leave out the checks of values until the end of the block: scenes are read as dB.

    The functions are replaced, because the program has no switch for this: no map is to be made without the checks.
    """
    from drshym_pipeline.sar import ingest
    from drshym_pipeline.sar.raster_band import SceneBands
    from drshym_pipeline.sar.unit_evidence import UnitsFound

    def keep(bands: SceneBands, layers: list[Any], window: object) -> list[Any]:
        return layers

    with (
        mock.patch.multiple(
            ingest,
            sample_scene=lambda *_: (),
            check_order=lambda scene, samples: samples,
            find_units=lambda *_, **__: UnitsFound("db", "not checked"),
            repeated_warnings=lambda *_: [],
        ),
        mock.patch.object(SceneBands, "_with_floor", keep),
    ):
        yield


def _row(source: Path, out: Path, what: str, times: int, repeats: int) -> Row:
    from drshym_pipeline.mapping import map_scene
    from drshym_pipeline.model.bundle import shipped_bundle

    bundle = shipped_bundle()
    reference = bundle.reference("shipped")

    def checked_maps() -> None:
        for _ in range(times):
            map_scene([source], out, bundle, reference, overwrite=True)

    def unchecked_maps() -> None:
        with unchecked():
            checked_maps()

    samples = interleave({"checked": checked_maps, "unchecked": unchecked_maps}, repeats)
    checked, plain = (statistics.median(samples[key]) for key in ("checked", "unchecked"))
    value = checked / plain
    return Row(
        what=f"{what}: a map with the checks of its values against one without them",
        measured=f"{value:.3f} x ({1e3 * checked / times:.0f} ms against {1e3 * plain / times:.0f} ms)",
        asked=f"at most {MOST:g} x",
        met=value <= MOST,
        command=COMMAND,
        samples={key: [value / times for value in found] for key, found in samples.items()},
    )


def measure(shape: tuple[int, int] = USUAL_SCENE, repeats: int = REPEATS, chips: int = _CHIPS_AT_ONCE) -> list[Row]:
    """Measure a chip of 512 x 512 pixels and a scene."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chip = write_chip(folder / "chip", 7)
        scene = write_big_scene(folder / "S1_20210111T1234_scene.tif", shape)
        return [
            _row(chip, folder / "of_chip", "512 x 512 chip", chips, repeats),
            _row(scene, folder / "of_scene", f"{shape[0]:,} x {shape[1]:,} dual-pol scene", 1, repeats),
        ]
