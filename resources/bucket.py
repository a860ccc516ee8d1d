"""The watched folder, as a resource of sensors and assets.

`drshym_pipeline.sar.scene_files` decides which files are scenes, and `sensors.plan` what to do with a new one.
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
        default="inbox", description="Where the files of a mapped scene are kept."
    )
    create: bool = Field(
        default=False, description="Create the folder if it does not exist (only for the default folder)."
    )

    def listing(
        self, note: Callable[[str], None] | None = None, ignored: Callable[[str], None] | None = None
    ) -> tuple[SourceFile, ...]:
        """Return all scene files and side-cars of the folder.

        Args:
            note: Called for every link that is ignored because its target is outside the folder; by default it is
                logged.
            ignored: Called with the key of every other file that a user may have meant as a scene.

        Raises:
            OSError: The folder cannot be read. It is then never reported as empty.
        """
        root = Path(self.root)
        if self.create:
            root.mkdir(parents=True, exist_ok=True)
        return list_scenes(root, note or _log.warning, ignored or (lambda key: None))

    def path_of(self, key: str) -> Path:
        """Return the path of a listed file, whether it still exists or not."""
        return Path(self.root) / key

    def local_path(self, key: str) -> Path:
        """Return the path of one file that can be read.

        Raises:
            InputError: The file no longer exists, or the key points outside the folder.
        """
        root = Path(self.root).resolve()
        path = root / key
        if ".." in Path(key).parts or Path(key).is_absolute():
            raise InputError(key, "is not a path below the watched folder", "Use a path relative to the folder")
        if not path.is_file():
            raise InputError(key, f"is no longer in the watched folder {root}", "Copy the scene into it again")
        if leads_out(path, root):
            raise InputError(key, f"is a link to a place outside the watched folder {root}", "Copy the scene itself")
        return path
