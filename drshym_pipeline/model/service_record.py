"""Which model is in service: one small JSON file in the store.

The file is written when a model is promoted, and read by every run that maps a scene. It names a bundle and its hash.
This module does not know the registry, which decides about promotion.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import Field, ValidationError

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.records import ModelReference, Record, describe_validation, now
from drshym_pipeline.storage import read_json, write_json


class ModelInService(Record):
    """The model that maps scenes now.

    `path` is the bundle's directory. It is relative to the store when it is inside the store, so that a store can be
    moved.
    """

    reference: ModelReference
    path: str = Field(min_length=1)
    since: datetime = Field(default_factory=now)
    reason: str

    def directory(self, store: Path) -> Path:
        """Return the bundle's directory."""
        return store / self.path  # an absolute path replaces the store


def record_path(store: Path) -> Path:
    """Return the path of the record in a store."""
    return store / "records" / "flood_model.json"


def in_service_record(store: Path) -> ModelInService | None:
    """Read the record of the model in service; None when no model was ever put in service.

    Raises:
        InputError: The record is damaged.
    """
    path = record_path(store)
    if not path.is_file():
        return None
    values = read_json(path)
    try:
        return ModelInService.model_validate(values)
    except ValidationError as error:
        raise InputError(path, describe_validation(error), "Promote a model again, or delete the file") from error


def write_in_service(store: Path, bundle: Path, reference: ModelReference, reason: str) -> ModelInService:
    """Put a bundle in service.

    Args:
        store: The artefact store.
        bundle: The bundle's directory.
        reference: The reference with the bundle's hash.
        reason: The reason in words, for people.

    Raises:
        InputError: The bundle cannot be loaded or has another hash than the reference; the old record then stays.
    """
    verified_bundle(bundle, reference)
    directory = bundle.resolve()
    inside = directory.is_relative_to(store.resolve())
    path = directory.relative_to(store.resolve()) if inside else directory
    record = ModelInService(reference=reference, path=path.as_posix(), reason=reason)
    write_json(record_path(store), record.model_dump(mode="json"))
    return record


def model_in_service(store: Path) -> tuple[ModelBundle, ModelReference]:
    """Load the model in service, verified against its record; the shipped checkpoint when there is no record.

    Raises:
        InputError: The recorded bundle is missing or has changed.
    """
    record = in_service_record(store)
    if record is None:
        bundle = shipped_bundle()
        return bundle, bundle.reference("shipped")
    return verified_bundle(record.directory(store), record.reference), record.reference


def verified_bundle(directory: Path, reference: ModelReference) -> ModelBundle:
    """Load a bundle and check that it has the hash of a reference.

    Raises:
        InputError: The bundle cannot be loaded, or it has another hash than the reference.
    """
    bundle = ModelBundle.load(directory)
    if bundle.sha256 != reference.sha256:
        raise InputError(
            directory,
            f"holds model {bundle.sha256[:12]}, the record pins {reference.sha256[:12]}",
            "Promote the model again, or restore the bundle",
        )
    return bundle
