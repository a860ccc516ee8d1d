"""Write the JSON Schemas of the records beside this file: `python -m docs.schemas`."""

from __future__ import annotations

from pathlib import Path

from drshym_pipeline.records import DrShymRecord, MapRecord, SceneMeta
from drshym_pipeline.storage import write_json

SCHEMAS = {"drshym_record-0.1.json": DrShymRecord, "scene_meta-0.1.json": SceneMeta, "map_record-0.1.json": MapRecord}


def main() -> None:
    """Write every schema, replacing the old file."""
    for name, record in SCHEMAS.items():
        write_json(Path(__file__).parent / name, record.model_json_schema())


if __name__ == "__main__":
    main()
