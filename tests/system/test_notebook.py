"""The notebook of the documentation runs from the first to the last cell, without a network address in it."""

from __future__ import annotations

import base64
import os
import re
import tempfile
from io import BytesIO
from pathlib import Path

import jupytext
import nbclient
import nbformat
import pytest
from PIL import Image

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "notebooks" / "first_map.py"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> list[nbformat.NotebookNode]:
    """The outputs of all cells, which were executed in a new kernel with an empty folder of temporary files."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = jupytext.read(NOTEBOOK)
    client = nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", cwd=str(folder))
    temporary = folder / "temporary"
    temporary.mkdir()
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "TMPDIR": str(temporary), "DRSHYM_HOME": str(folder / "home")}
    client.execute(env=environment)  # raises the first error of a cell
    assert tempfile.gettempdir() != str(temporary)
    left = {path.name for path in temporary.iterdir() if path.name.startswith((".partial-", "tmp"))}
    assert left == set(), "the notebook and the functions delete what they write"
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def printed(outputs: list[nbformat.NotebookNode]) -> str:
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


def test_every_area_is_printed_with_its_interval(outputs):
    text = printed(outputs)
    assert re.search(r"about [\d.]+ km2 are mapped as open water; likely about [\d.]+ km2 \(90 % interval", text)
    for name in ("flooded", "other_water", "water"):
        (found,) = re.findall(rf"^{name}: ([\d.]+) km2 mapped, 90% interval ([\d.]+) to ([\d.]+) km2$", text, re.M)
        _, low, high = map(float, found)
        assert low < high
    assert "(90 % interval 0 to " in text, "the map with another threshold"
    assert "EPSG:32644 (1, 512, 512) not observed: 255" in text


def test_the_figure_shows_the_flood_in_blue(outputs):
    (picture,) = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    with Image.open(BytesIO(base64.b64decode(picture))) as image:
        colours = image.convert("RGB").getcolors(1 << 24)
    assert sum(count for count, (red, _, blue) in colours if blue > red + 80) > 1000


def test_the_states_have_different_backscatter(outputs):
    means = dict(re.findall(r"^(\w+): (-[\d.]+) dB in VV$", printed(outputs), re.M))
    assert float(means["flooded"]) < float(means["dry"])
    assert float(means["permanent"]) < float(means["dry"])


def test_the_notebook_is_in_the_format_of_jupytext():
    notebook = jupytext.read(NOTEBOOK)
    assert (
        jupytext.writes(notebook, fmt="py:percent").split("# %%", 1)[1]
        == NOTEBOOK.read_text("utf-8").split("# %%", 1)[1]
    )
