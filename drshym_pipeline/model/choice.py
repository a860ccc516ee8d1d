"""Which model to use, and why: a given one, else the one in service, else the shipped one.

The command and the Python functions choose here. Which model is in service is kept by `service_record`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.model.service_record import in_service_record, verified_bundle
from drshym_pipeline.records import ModelReference
from drshym_pipeline.settings import PipelineSettings

Choice = Literal["given", "in_service", "shipped"]


@dataclass(frozen=True)
class ChosenModel:
    """A loaded model, its reference, and why it was taken.

    Args:
        bundle: The model.
        reference: What is written beside every map.
        choice: Whether it was given, is in service, or is the one of the package.
        reason: The same in words, for people.
    """

    bundle: ModelBundle
    reference: ModelReference
    choice: Choice
    reason: str

    def text(self) -> str:
        """Such as `unet 1.2 (sha256 0123456789ab): given as runs/unet/bundle`."""
        return f"{self.reference.label} (sha256 {self.reference.sha256[:12]}): {self.reason}"


def choose_model(given: ModelBundle | str | os.PathLike[str] | None = None) -> ChosenModel:
    """Choose and load the model to use.

    Args:
        given: A loaded model, or the directory of a sealed one; the model in service by default, else the shipped one.

    Raises:
        InputError: It cannot be loaded, or the environment holds a value that cannot be used.
    """
    if isinstance(given, ModelBundle):
        return ChosenModel(given, _reference(given), "given", "given as a loaded model")
    if given is not None:
        bundle = ModelBundle.load(Path(given))
        return ChosenModel(bundle, bundle.reference("checkpoint"), "given", f"given as {os.fspath(given)}")
    store = PipelineSettings.from_environment().store_path
    record = in_service_record(store)
    if record is None:
        bundle = shipped_bundle()
        reason = f"shipped with the package, because no model is in service in {store}"
        return ChosenModel(bundle, bundle.reference("shipped"), "shipped", reason)
    bundle = verified_bundle(record.directory(store), record.reference)
    reason = f"in service since {record.since:%Y-%m-%d %H:%M} UTC ({record.reason})"
    return ChosenModel(bundle, record.reference, "in_service", reason)


def _reference(bundle: ModelBundle) -> ModelReference:
    """The reference of a loaded model: where it comes from is seen by its hash, however it was loaded."""
    record = in_service_record(PipelineSettings.from_environment().store_path)
    if record is not None and record.reference.sha256 == bundle.sha256:
        return record.reference
    return bundle.reference("shipped" if bundle.sha256 == shipped_bundle().sha256 else "checkpoint")
