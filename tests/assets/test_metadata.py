"""What assets show on their pages."""

import base64
import io
from pathlib import Path

import numpy as np
from dagster import PathMetadataValue
from PIL import Image

from assets.metadata import file_link, picture


def size_of(value: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(value.split("base64,")[1].rstrip(")")))).size


def test_pictures_have_true_proportions():
    values = np.linspace(0.0, 1.0, 200 * 200).reshape(200, 200)
    assert size_of(picture(values, "square").value) == (200, 200)
    assert size_of(picture(values, "60 degrees north", cell=(5.0, 10.0)).value) == (100, 200)
    assert size_of(picture(values, "flat pixels", cell=(10.0, 5.0)).value) == (200, 100)
    assert max(size_of(picture(np.ones((2, 3)), "tiles", cell=(5.0, 10.0)).value)) <= 320


def test_a_link_to_a_file_is_a_path_to_copy(tmp_path: Path):
    # The pages of Dagster refuse to open a `file://` address.
    link = file_link(tmp_path / "report.html")
    assert isinstance(link, PathMetadataValue)
    assert link.value == str(tmp_path / "report.html")
