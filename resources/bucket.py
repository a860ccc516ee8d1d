"""The watched folder, as Dagster hands it to sensors and assets.

What counts as a scene file is decided in `drshym_pipeline.sar.scene_files`, what to do about a new one in
`sensors.plan`.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from dagster import ConfigurableResource
from pydantic import Field

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.scene_files import SourceFile, leads_out, list_scenes

_log = logging.getLogger(__name__)


class SceneBucket(ConfigurableResource[Any]):
    """A local folder, with subfolders, that scenes are copied into."""

    root: str = Field(description="The watched folder.")
    keep_sources: Literal["inbox", "store"] = Field(
        default="inbox", description="Where the one kept copy of a mapped scene's files lies."
    )
    create: bool = Field(default=False, description="Make the folder when it is not there (our own default folder).")

    def listing(
        self, note: Callable[[str], None] | None = None, ignored: Callable[[str], None] | None = None
    ) -> tuple[SourceFile, ...]:
        """All scene files and side-cars, complete.

        Args:
            note: Called for every link that is left out because it leads out of the folder; by default it is logged.
            ignored: Called with the key of every file that is neither but may have been meant as a scene.

        Raises:
            OSError: The folder cannot be read. It is never reported as empty.
        """
        root = Path(self.root)
        if self.create:
            root.mkdir(parents=True, exist_ok=True)
        return list_scenes(root, note or _log.warning, ignored or (lambda key: None))

    def path_of(self, key: str) -> Path:
        """Where a listed file lies, whether it is still there or not."""
        return Path(self.root) / key

    def local_path(self, key: str) -> Path:
        """Where the bytes of one file can be read.

        Raises:
            InputError: The file is no longer there, or the key leads out of the folder.
        """
        root = Path(self.root).resolve()
        path = root / key
        if ".." in Path(key).parts or Path(key).is_absolute():
            raise InputError(key, "is not a path below the watched folder", "Use a path relative to the folder")
        if not path.is_file():
            raise InputError(key, f"is no longer in the watched folder {root}", "Copy the scene into it again")
        if leads_out(path, root):
            raise InputError(key, f"is a link that leads out of the watched folder {root}", "Copy the scene itself")
        return path
