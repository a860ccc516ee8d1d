"""Every message about a raster that is refused, with what a user does who follows its remedy."""

from tests.remedy_cases import bands, files, position, values
from tests.remedy_cases.case import CASES, CLEAN, Case, Request

__all__ = ["CASES", "CLEAN", "Case", "Request", "bands", "files", "position", "values"]
