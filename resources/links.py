"""The addresses of Dagster's pages, for links from other systems."""

from typing import Any

from dagster import ConfigurableResource
from pydantic import Field


class PageLinks(ConfigurableResource[Any]):
    """Addresses of pages."""

    dagster: str = Field(description="Address of Dagster's web server.")

    def run(self, run_id: str) -> str:
        """Return the address of the page of a run."""
        return f"{self.dagster}/runs/{run_id}"
