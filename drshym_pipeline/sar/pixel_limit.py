"""The largest scene that a caller maps, in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drshym_pipeline.errors import InputError


class TooManyPixelsError(InputError):
    """A scene has more pixels than the caller maps.

    Args:
        scene: What an error calls the scene.
        pixels: Pixels of one band of its largest image.
        most: The limit.
    """

    def __init__(self, scene: str | Path, pixels: int, most: int) -> None:
        self._given = str(scene), pixels, most
        super().__init__(scene, f"has {pixels} pixels, more than the limit of {most}", "Cut it into parts")

    def __reduce__(self) -> tuple[type[TooManyPixelsError], tuple[str, int, int]]:  # type: ignore[override]
        return (type(self), self._given)


def check_pixels(scene: Path, files: Sequence[Path], most: int) -> None:
    """Check the size of the GeoTIFFs of a scene, after a zip was unpacked.

    Args:
        scene: What the user gave, for an error.
        files: The GeoTIFFs.
        most: The largest number of pixels of one band.

    Raises:
        TooManyPixelsError: An image has more pixels.
        InputError: A file cannot be opened.
    """
    from drshym_pipeline.sar.safe_open import open_scene_file

    for file in files:
        with open_scene_file(file) as dataset:
            pixels = int(dataset.width) * int(dataset.height)
        if pixels > most:
            raise TooManyPixelsError(scene, pixels, most)
