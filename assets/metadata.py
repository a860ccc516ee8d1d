"""What an asset shows on its page: small pictures, tables and links.

Metadata stays in Dagster's event log permanently, so pictures are thumbnails; the full files are linked.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from dagster import MarkdownMetadataValue, MetadataValue, TableColumn, TableMetadataValue, TableRecord, TableSchema
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

LONGEST_SIDE = 320
_MOST_ROWS = 100
_STOPS = np.array([[16, 24, 48], [36, 84, 140], [72, 160, 180], [190, 220, 160], [250, 240, 120]], dtype=float)
_NOT_OBSERVED = (128, 128, 128)
_TYPES = {bool: "bool", int: "int", float: "float"}


def _embedded(image: bytes, alt: str, kind: str) -> MarkdownMetadataValue:
    return MetadataValue.md(f"![{alt}](data:image/{kind};base64,{base64.b64encode(image).decode('ascii')})")


def _small(image: "Image", alt: str) -> MarkdownMetadataValue:
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    buffer = io.BytesIO()
    # A picture of speckle as PNG with a palette is twice as large and takes thirty times as long.
    image.save(buffer, "JPEG", quality=85)
    return _embedded(buffer.getvalue(), alt, "jpeg")


def picture_file(path: Path, alt: str) -> MarkdownMetadataValue:
    """Show a picture file as a thumbnail; transparent parts become white."""
    from PIL import Image

    with Image.open(path) as opened:
        image = opened.convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    return _small(Image.alpha_composite(ground, image).convert("RGB"), alt)


def picture(
    values: NDArray[np.floating[Any]],
    alt: str,
    low: float = 0.0,
    high: float = 1.0,
    *,
    cell: tuple[float, float] = (1.0, 1.0),
) -> MarkdownMetadataValue:
    """Draw an array as a coloured thumbnail.

    Args:
        values: (h, w), NaN where not observed (grey).
        alt: What it shows.
        low: Value of the darkest colour.
        high: Value of the brightest colour.
        cell: Length on the ground of the sides (x, y) of what one value covers, in any unit.
    """
    from PIL import Image

    scaled = np.clip((values - low) / (high - low), 0.0, 1.0)
    at = np.nan_to_num(scaled) * (len(_STOPS) - 1)
    below = np.minimum(at.astype(int), len(_STOPS) - 2)
    rgb = _STOPS[below] + (at - below)[..., None] * (_STOPS[below + 1] - _STOPS[below])
    rgb[~np.isfinite(values)] = _NOT_OBSERVED
    grow = max(1, LONGEST_SIDE // (2 * max(values.shape)))
    pixels = np.kron(rgb.astype(np.uint8), np.ones((grow, grow, 1), dtype=np.uint8))
    drawn = Image.fromarray(pixels)
    size = (drawn.width * cell[0] / max(cell), drawn.height * cell[1] / max(cell))
    return _small(drawn.resize((max(1, round(size[0])), max(1, round(size[1]))), Image.Resampling.NEAREST), alt)


def plot(png: bytes, alt: str) -> MarkdownMetadataValue:
    """Show a plot as it is; it is small already."""
    return _embedded(png, alt, "png")


def _plain(value: Any) -> str | int | float | bool | None:
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return round(value, 4)
    return value if isinstance(value, str | int | bool) else str(value)


def table(rows: "pd.DataFrame | Sequence[Mapping[str, Any]]") -> TableMetadataValue:
    """Show a table of at most a hundred rows."""
    listed = rows if isinstance(rows, Sequence) else rows.reset_index(drop=True).to_dict("records")
    records = [{str(key): _plain(value) for key, value in row.items()} for row in listed[:_MOST_ROWS]]
    columns: dict[str, str] = {}
    for record in records:
        for key, value in record.items():
            if value is not None or key not in columns:
                columns[key] = _TYPES.get(type(value), "string")
    schema = TableSchema([TableColumn(name, kind) for name, kind in columns.items()])
    return MetadataValue.table([TableRecord(record) for record in records], schema)


def file_link(path: Path) -> MetadataValue:
    """Return the path of a file or folder on disk, which Dagster shows with a button to copy it.

    Dagster's pages refuse `file://` links. A copied path opens in the address bar of a browser on the same machine.
    """
    return MetadataValue.path(str(path))
