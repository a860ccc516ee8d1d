"""Which model to use, and why: the given model, else the model in service, else the shipped model.

The command and the Python functions use this module. `service_record` stores which model is in service.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from drshym_pipeline.model.bundle import SHIPPED, ModelBundle, shipped_bundle
from drshym_pipeline.model.service_record import in_service_record, verified_bundle
from drshym_pipeline.records import ModelReference
from drshym_pipeline.settings import PipelineSettings

Choice = Literal["given", "in_service", "shipped"]


@dataclass(frozen=True)
class ChosenModel:
    """A loaded model, its reference, and why it was chosen.

    Args:
        bundle: The model.
        reference: The reference that is written beside every map.
        choice: Whether the model was given, is in service, or is the shipped one.
        reason: The reason for the choice in words, for people.
    """

    bundle: ModelBundle
    reference: ModelReference
    choice: Choice
    reason: str

    def text(self) -> str:
        """Return a line such as `unet 1.2 (sha256 0123456789ab): given as runs/unet/bundle`."""
        return f"{self.reference.label} (sha256 {self.reference.sha256[:12]}): {self.reason}"


def choose_model(given: ModelBundle | str | os.PathLike[str] | None = None) -> ChosenModel:
    """Choose and load the model to use.

    Args:
        given: A loaded model, or the directory of a sealed one; None for the model in service, else the shipped one.

    Raises:
        InputError: The model cannot be loaded, or an environment variable has a value that cannot be used.
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
        return ChosenModel(bundle, bundle.reference(SHIPPED), SHIPPED, reason)
    bundle = verified_bundle(record.directory(store), record.reference)
    reason = f"in service since {record.since:%Y-%m-%d %H:%M} UTC ({record.reason})"
    if record.reference.source == SHIPPED and bundle.sha256 != (newer := shipped_bundle()).sha256:
        reason += (
            f"; the package now has {newer.reference(SHIPPED).label}: run the job put_in_service, then a reviewer "
            "decides"
        )
    return ChosenModel(bundle, record.reference, "in_service", reason)


def _reference(bundle: ModelBundle) -> ModelReference:
    """Return the reference of a loaded model; its hash decides whether it is the one in service or the shipped one."""
    record = in_service_record(PipelineSettings.from_environment().store_path)
    if record is not None and record.reference.sha256 == bundle.sha256:
        return record.reference
    return bundle.reference(SHIPPED if bundle.sha256 == shipped_bundle().sha256 else "checkpoint")
