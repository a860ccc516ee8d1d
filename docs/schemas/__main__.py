"""Write the JSON Schemas of records, command and service beside this file: `python -m docs.schemas`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drshym_pipeline.commands.documents import MappingDocument, StatusDocument
from drshym_pipeline.records import DrShymRecord, MapRecord, Record, SceneMeta
from drshym_pipeline.service.schemas import JobAnswer, ProblemDetail, SceneAnswer, SegmentRequest, SegmentResponse
from drshym_pipeline.storage import write_json

# The dialect pydantic writes.
DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS: dict[str, type[Record]] = {
    "drshym_record-0.1.json": DrShymRecord,
    "scene_meta-0.1.json": SceneMeta,
    "map_record-0.1.json": MapRecord,
    "mapping_document-0.1.json": MappingDocument,
    "status_document-0.1.json": StatusDocument,
    "segment_request-0.1.json": SegmentRequest,
    "segment_response-0.1.json": SegmentResponse,
    "job_answer-0.1.json": JobAnswer,
    "scene_answer-0.1.json": SceneAnswer,
    "problem_detail-0.1.json": ProblemDetail,
}


def schema(name: str) -> dict[str, Any]:
    """Return the schema that is published as `name`, such as `map_record-0.1.json`.

    Its `$id` is a URN of record and version. It is a name, not an address, so it never has to change.
    """
    record, version = name.removesuffix(".json").rsplit("-", 1)
    return {
        "$schema": DIALECT,
        "$id": f"urn:drshym:schema:{record}:{version}",
        **SCHEMAS[name].model_json_schema(),
    }


def main() -> None:
    """Write every schema, replacing the old file."""
    for name in SCHEMAS:
        write_json(Path(__file__).parent / name, schema(name))


if __name__ == "__main__":
    main()
