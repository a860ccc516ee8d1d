"""Sentences about requests that do not have the form that their address asks for.

pydantic finds the faults. Its sentences are for programmers in Python, so none of them is passed on.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel

_LONGEST_SHOWN: Final = 80
_ADDRESSES: Final = ("image_uri", "pre_image_uri")
_ADDRESS_TEXT: Final = "must be an address of 1 to 2,048 characters, or a list of one or two such addresses"
# What a value must be, by the type of a fault as pydantic names it; in braces the limits that the fault has.
_EXPECTED: Final = {
    "model_type": 'must be an object with keys, such as {{"tile": 512}}',
    "model_attributes_type": 'must be an object with keys, such as {{"domain": "flood_sar"}}',
    "dict_type": "must be an object with keys",
    "number_type": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number with fewer digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "multiple_of": "must be a multiple of {multiple_of}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}


def describe_invalid(errors: Sequence[Any], model: type[BaseModel] | None) -> str:
    """Return one sentence about the first fault of a request.

    Args:
        errors: The faults as pydantic reports them; the first part of `loc` is the place (body, query, path).
        model: The model of the body, whose keys are named when one is not known.
    """
    # A union reports the faults of all its members. An unknown key is the most useful of all faults.
    first = min(errors, key=lambda error: error["type"] != "extra_forbidden")
    place, *path = first["loc"] or ("body",)
    if first["type"] == "json_invalid":
        where = f" (see character {path[0]})" if path and isinstance(path[0], int) else ""
        return f"{place}: not valid JSON{where}. Correct it."
    if path and path[0] in _ADDRESSES and first["type"] != "missing":
        path = path[:1]
        expected = _ADDRESS_TEXT
    else:
        expected = expected_value(first)
    name = ".".join(map(str, path))
    if first["type"] == "extra_forbidden":
        return f"{place}: unknown key '{name}'. {_known_keys_text(model, path)}"
    if first["type"] == "missing":
        problem = f"the key '{name}' is missing. Add it" if name else "nothing was sent. Send a JSON object"
        return f"{place}: {problem}."
    if name == "domain" and first["type"] == "literal_error":
        known = str(first.get("ctx", {}).get("expected", "'flood_sar'"))
        return f"{place}: the domain {shown_value(first['input'])} is not known. This service maps {known}."
    named = f"{place}: {name}" if name else str(place)
    return f"{named}: {expected}, got {shown_value(first.get('input'))}. Correct the value."


def expected_value(error: Mapping[str, Any]) -> str:
    """Return what the value of a key must be, for a fault as pydantic reports it."""
    if error["type"] in _EXPECTED:
        return _EXPECTED[error["type"]].format(**error.get("ctx", {}))
    if error["type"] == "value_error":  # a sentence of this program
        text = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
        return text[:1].lower() + text[1:]
    return "is not valid here; /openapi.json describes it"


def shown_value(value: Any) -> str:
    """Return a value for a message: a text in quotes, all else as JSON; a long one is cut."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    if not text.isprintable():
        text = json.dumps(value, default=str)
    if isinstance(value, str):
        text = f"'{text[1:-1]}'"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def _known_keys_text(model: type[BaseModel] | None, path: Sequence[Any]) -> str:
    current: Any = model
    for part in path[:-1]:
        field = getattr(current, "model_fields", {}).get(part)
        types = () if field is None else (field.annotation, *get_args(field.annotation))
        current = next((found for found in types if hasattr(found, "model_fields")), None)
    known = list(getattr(current, "model_fields", {}))
    if not known:
        return "Leave it out."
    near = difflib.get_close_matches(str(path[-1]), known, n=1)
    return f"Did you mean '{near[0]}'?" if near else f"Known keys here: {', '.join(known)}."
