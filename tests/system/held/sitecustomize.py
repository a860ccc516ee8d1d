"""Stop this process when it is about to give a finished file its name; loaded by every interpreter the tests start.

The tests put this folder on the Python path of the services. `DRSHYM_TEST_HOLD` names a file with a pattern. The first
process that renames a file to a path that matches the pattern stops itself (SIGSTOP) before the rename. At this moment
the file exists under its temporary name only, as it would after a kill or a power cut.
"""

import fnmatch
import os
import signal
import sys
from pathlib import Path
from typing import Any


def _stop_before_rename(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "os.rename":
        return
    request = Path(os.environ["DRSHYM_TEST_HOLD"])
    if request.is_file() and fnmatch.fnmatchcase(os.fspath(arguments[1]), request.read_text("utf-8")):
        request.unlink()  # the next attempt is not held
        os.kill(os.getpid(), signal.SIGSTOP)


if "DRSHYM_TEST_HOLD" in os.environ:
    sys.addaudithook(_stop_before_rename)
