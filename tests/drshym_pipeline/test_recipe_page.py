"""The page of a recipe's keys: complete, and made from the settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from docs.recipes import PAGE, page, sections
from drshym_pipeline.settings import Section

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
EVERY_KEY = [(path, model, name) for path, model in sections() for name in model.model_fields]


@pytest.mark.parametrize(("path", "model", "name"), EVERY_KEY, ids=[f"{path}.{name}" for path, _, name in EVERY_KEY])
def test_every_key_of_a_recipe_has_a_description_that_the_page_shows(
    path: str, model: type[BaseModel], name: str
) -> None:
    description = model.model_fields[name].description
    assert description, f"{path}.{name}: add Field(description=...) in drshym_pipeline/settings.py"
    assert f"| `{name}` | {description} |" in PAGE.read_text("utf-8")


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `python -m docs.recipes`"


def test_every_section_of_the_settings_is_on_the_page() -> None:
    shown = {model for _, model in sections()}
    assert shown == {model for model in Section.__subclasses__() if model.__module__ == Section.__module__}
    assert len(EVERY_KEY) > 50


def test_values_and_defaults_are_those_of_the_program() -> None:
    text = page()
    assert "| `learning_rate` | highest learning rate of AdamW | number, above 0 | `0.001` |" in text
    assert "| `labels` | " in text
    assert "| `hand`, `weak`, `combined` | `hand` |" in text
    assert "| `kind` | layout of the folder | `etci2021`, `ombria`, `emsr763`, `real_land` | must be given |" in text
    assert "## `data.sources[]`" in text


def test_a_key_without_a_description_is_found() -> None:
    class Bare(BaseModel):
        """A section with a key without a description."""

        key: int = 1

    keys = [(name, field) for _, model in sections(Bare) for name, field in model.model_fields.items()]
    assert [name for name, field in keys if not field.description] == ["key"]
