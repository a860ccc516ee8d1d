"""`docs/service.md` names every error, every setting and every address of the service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drshym_pipeline.service.app import create_app
from drshym_pipeline.service.problems import PROBLEMS
from drshym_pipeline.service.settings import ServiceSettings
from tests.http_service import ExplicitSettings

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "service.md").read_text("utf-8")


def test_the_table_of_errors_has_every_code_with_its_status():
    rows = {code: int(status) for status, code in re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PAGE, re.MULTILINE)}
    assert rows == {code: kind.status for code, kind in PROBLEMS.items()}


@pytest.mark.parametrize("name", ServiceSettings.model_fields)
def test_every_setting_is_described(name):
    assert f"`{name}`" in PAGE.partition("## Settings")[2].partition("\n## ")[0]


def test_every_address_is_listed(tmp_path):
    table = PAGE.partition("| address |")[2].partition("\n\n")[0]
    for path in create_app(ExplicitSettings(root=tmp_path)).openapi()["paths"]:
        assert path.removeprefix("/v1/scenes/{id}/").removeprefix("/v1/") in table, path
