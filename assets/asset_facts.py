"""What every asset has in common on its page: owner, tags and where it is described; and the columns of its tables."""

from pathlib import Path
from typing import Any, Final, TypedDict

from dagster import MetadataValue, TableColumn, TableSchema

from drshym_pipeline.records import DrShymRecord

OWNER: Final = "team:flood-mapping"
LINEAGE_PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "lineage.md"
_TYPES: Final = {"string": "string", "number": "float", "integer": "int", "array": "list"}


class AssetFacts(TypedDict):
    """The arguments of Dagster's `asset` that `asset_facts` fills."""

    owners: list[str]
    tags: dict[str, str]
    metadata: dict[str, Any]


def asset_facts(name: str, stage: str, **metadata: Any) -> AssetFacts:
    """Return owner, tags and metadata of an asset.

    Args:
        name: Name of the asset, and of its section in `docs/lineage.md`.
        stage: What the asset contains, a tag for filters: `data`, `model` or `map`.
        metadata: More metadata of the definition.
    """
    # Two entries, because people open a path as a file, and no file is named `lineage.md#raw_scenes`.
    described = {"described in": MetadataValue.path(LINEAGE_PAGE), "section": name}
    return {
        "owners": [OWNER],
        "tags": {"domain": "flood_sar", "holds": stage},
        "metadata": {**described, **metadata},
    }


def tile_columns() -> TableSchema:
    """Return the columns of `tiles.parquet`: the fields of a tile record, nested ones with dots."""
    schema = DrShymRecord.model_json_schema()
    return TableSchema([TableColumn(name, kind) for name, kind in _columns(schema, schema.get("$defs", {}))])


def _columns(schema: dict[str, Any], definitions: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, field in schema["properties"].items():
        kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
        reference = kinds[0].get("$ref")
        if reference is not None:
            found += _columns(definitions[reference.rsplit("/", 1)[1]], definitions, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", _TYPES.get(kinds[0].get("type", "string"), "string")))
    return found
