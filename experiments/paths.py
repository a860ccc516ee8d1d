"""Where the checkout and its recipes are."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
# The recipe of the shipped checkpoint, and the same network without real land.
SHIPPED_RECIPE: Final = ROOT / "configs" / "shipped.yaml"
SIMULATED_RECIPE: Final = ROOT / "configs" / "simulated.yaml"
