"""What the parts of a running service know of each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drshym_pipeline.service.context import Service
from drshym_pipeline.service.jobs import JobSpec
from drshym_pipeline.service.settings import ServiceSettings


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service whose queue is open; nobody can connect to it."""
    service = Service(ServiceSettings(root=tmp_path / "root", workers=1))
    service.engine.start()
    yield service
    service.engine.stop()


def test_the_retention_spares_folders_of_jobs_only_until_they_end(service: Service, tmp_path: Path):
    scene, out = service.catalogue.new_folder("S1_x", "a" * 64, "job1")
    upload = service.uploads / "1"
    upload.mkdir(parents=True)
    sources = (tmp_path / "S1_x.tif",)
    job = service.engine.submit(
        JobSpec(scene_name=scene, sources=sources, identity="a" * 64, out=out, uploads=(upload,))
    )
    assert service.folders_in_use() == [out, upload]
    service.engine.cancel(job.id)
    assert service.folders_in_use() == []
