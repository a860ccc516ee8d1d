"""An area with its interval; every area that is printed comes from here."""

from __future__ import annotations

import math

from pydantic import Field

from drshym_pipeline.records.base import Record

_SIGNIFICANT = 2  # digits
_MOST_DECIMALS = 12
_PRECISION = 1e-4  # of a measured area


def _decimals(value: float) -> int:
    """Return the number of decimals that shows two significant digits of a value; 0 for zero."""
    if value == 0.0:
        return 0
    return min(max(_SIGNIFICANT - 1 - math.floor(math.log10(abs(value))), 0), _MOST_DECIMALS)


def area_figure(km2: float, uncertainty: float | None = None) -> str:
    """Return an area as text, without its unit; every area that is printed comes from here.

    Its last digit is the second significant digit of its uncertainty, and at least two significant digits of the area
    itself are shown: `12.3` for an uncertainty of 4.9, `0.040` for one of 16.

    Args:
        km2: The area in km2.
        uncertainty: The width of its interval; None for a counted area, which is shown with three significant digits.
    """
    # Pixels are measured to 1e-4 of their area, so more digits would be noise.
    last = km2 / 10 if uncertainty is None else max(uncertainty, _PRECISION * km2)
    digits = max(_decimals(km2), _decimals(last))
    return "0" if km2 == 0.0 else f"{km2:.{digits}f}"


class AreaEstimate(Record):
    """An area with its interval. No area is printed without its interval.

    `km2` is the mapped area. `expected_km2` is the most likely true area, None where only the mapped area is known.
    The interval is that of the true area, and with an expected area it need not contain the mapped one.
    """

    km2: float = Field(ge=0.0)
    low_km2: float = Field(ge=0.0)
    high_km2: float = Field(ge=0.0)
    level: float = Field(gt=0.0, lt=1.0)
    method: str
    expected_km2: float | None = Field(default=None, ge=0.0)

    def text(self, source: str = "") -> str:
        """Return text such as `12.3 km2 (90 % interval 10.1 to 15.0 km2)`.

        With an expected area: `12.3 km2 mapped; likely 11.2 km2 (90 % interval 10.1 to 15.0 km2)`.

        Args:
            source: Where the interval comes from, such as `from area errors of 640 chips`; it is added in the brackets.
        """
        if self.expected_km2 is None:
            return f"{self._figure(self.km2)} {self._interval(source)}"
        return f"{self._figure(self.km2)} mapped; likely {self._figure(self.expected_km2)} {self._interval(source)}"

    def sentence(self, water: str, source: str = "", note: str = "") -> str:
        """Return the same as a clause, such as `about 12.3 km2 (90 % interval ...) appear to be open water`.

        Args:
            water: What is mapped, such as `open water`.
            source: Where the interval comes from.
            note: What is said about the mapped area, as a clause after it.
        """
        if self.expected_km2 is None:
            return f"about {self.text(source)} appear to be {water}{note}"
        return (
            f"about {self._figure(self.km2)} are mapped as {water}{note}; "
            f"likely about {self._figure(self.expected_km2)} {self._interval(source)} are {water}"
        )

    def warning(self, what: str = "water", chips: str = "chips") -> str | None:
        """Return the sentence for readers of a map whose mapped area is outside its interval; None otherwise.

        The printed figures are compared, so an area that is shown as equal to an end has no warning.

        Args:
            what: What the area is of.
            chips: What the interval was fitted on.
        """
        mapped, low, high = (float(self._number(value)) for value in (self.km2, self.low_km2, self.high_km2))
        if low <= mapped <= high:
            return None
        side, found, check = (
            ("above", "less", "which mapped areas have low values")
            if mapped > high
            else ("below", "more", f"whether it shows {what} that is not mapped")
        )
        return (
            f"The mapped area, {self._figure(self.km2)}, is {side} its interval ({self._range()}): validation {chips} "
            f"with such probabilities had {found} {what} than was mapped. Check in the probability map {check}, before "
            "you use the area."
        )

    def may_be_none(self) -> bool:
        """Return whether something is mapped, and the printed interval begins at 0."""
        return self._number(self.low_km2) == "0" != self._number(self.km2)

    def _number(self, km2: float) -> str:
        return area_figure(km2, self.high_km2 - self.low_km2)

    def _figure(self, km2: float) -> str:
        return f"{self._number(km2)} km2"

    def _range(self) -> str:
        return f"{self._number(self.low_km2)} to {self._number(self.high_km2)} km2"

    def _interval(self, source: str) -> str:
        return f"({100 * self.level:.0f} % interval {self._range()}{f', {source}' if source else ''})"
