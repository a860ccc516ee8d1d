"""The base of all records: immutable pydantic models that refuse unknown fields."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

SCHEMA_VERSION = "0.1"

BandMode = Literal["vv", "vv_vh"]
Precision = Literal["fp32", "bf16"]
PrecisionOption = Literal["auto", "fp32", "bf16"]


def _check_plain_name(text: str) -> str:
    if text in {".", ".."} or not {"/", "\\", "\0"}.isdisjoint(text):
        raise ValueError(
            f"{text!r} is not a simple name: files are named after it, so it must not have a / or \\, or be .."
        )
    return text


# A name that files are called after, such as that of a scene or a tile: it never leads into another folder.
PlainName = Annotated[str, Field(min_length=1), AfterValidator(_check_plain_name)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def now() -> datetime:
    """Return the current time in UTC, without fractions of a second, because records are compared and printed."""
    return datetime.now(UTC).replace(microsecond=0)


class Record(BaseModel):
    """Base class of all records: immutable, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def describe_validation(error: ValidationError) -> str:
    """Return one line for the first fault that pydantic found: the field's path and what is wrong with it."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"field '{field}' is not known"
    if first["type"] == "missing":
        return f"field '{field}' is missing"
    message = first["msg"].removeprefix("Value error, ")
    lowered = f"{message[:1].lower()}{message[1:]}"
    return f"field '{field}': {lowered}" if field else lowered
