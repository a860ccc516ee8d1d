"""Write the page of all keys of a training recipe: `python -m docs.recipes`.

Everything on the page comes from `drshym_pipeline.settings`: the descriptions, the defaults and the allowed values. So
the page always agrees with the program.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from drshym_pipeline.model.model_card import markdown_table
from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.storage import write_text

PAGE = Path(__file__).with_name("recipes.md")
_WORDS = {str: "text", int: "whole number", float: "number", Path: "path", bool: "true or false"}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_HEAD = """# Training recipes

A recipe is a YAML file that `drshym train --config` and the training assets read; `configs/` has examples. A key with
a default may be left out. A key that is not on this page is an error. `python -m docs.recipes` writes this page.
"""


def sections(model: type[BaseModel] = TrainConfig, path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield a section and all sections inside it, with the path of their keys; the recipe itself has an empty path."""
    yield path, model
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        if inner is not None:
            is_list = get_origin(field.annotation) is tuple
            yield from sections(inner, f"{path}.{name}".removeprefix(".") + ("[]" if is_list else ""))


def page() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD.rstrip()]
    for path, model in sections():
        rows = [_row(name, field) for name, field in model.model_fields.items()]
        parts += [
            f"## {f'`{path}`' if path else 'The recipe'}",
            markdown_table(("key", "meaning", "values", "default"), rows),
        ]
    return "\n\n".join(parts) + "\n"


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the section that is the value of a key, or of the entries of its list."""
    candidates = [annotation, *get_args(annotation)]
    return next((item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)), None)


def _row(name: str, field: FieldInfo) -> tuple[str, str, str, str]:
    return f"`{name}`", field.description or "", values_text(field), _default(field)


def values_text(field: FieldInfo) -> str:
    """Return the allowed values of a key as text."""
    if (inner := _section(field.annotation)) is not None:
        return "a list of sections" if inner is not field.annotation else "a section"
    bounds = [
        f"{word} {getattr(item, key)}"
        for item in field.metadata
        for key, word in _BOUNDS.items()
        if getattr(item, key, None) is not None
    ]
    return ", ".join([_type_text(field.annotation), *bounds])


def _type_text(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_type_text(item) for item in get_args(annotation) if item is not type(None))
    if get_origin(annotation) is tuple:
        return f"list of {_type_text(get_args(annotation)[0])}s"
    return _WORDS[annotation]


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "must be given"
    if isinstance(field.default, BaseModel):
        return "the defaults below"
    if field.default is None:
        return "none"
    if isinstance(field.default, tuple):
        return f"`[{', '.join(map(str, field.default))}]`"
    return f"`{field.default}`"


def main() -> None:
    """Write the page."""
    write_text(PAGE, page())


if __name__ == "__main__":
    main()
