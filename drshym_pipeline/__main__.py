"""Run the `drshym` command: `python -m drshym_pipeline`."""

from __future__ import annotations

import sys

from drshym_pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
