"""Write the lock files of the container: `python -m deploy.lock`.

    requirements/packages.txt      every package with its version and hashes, without torch and what belongs to it
    requirements/torch-cuda.txt    torch with the libraries of its CUDA build, with hashes
    requirements/torch-cpu.txt     the same versions of torch for its CPU build, which is in another package index
    requirements/build.txt         what builds the wheel of this package, with hashes

The versions are those of the environment that runs this, because that is what the tests ran with. Needs `uv` on the
PATH, and a network.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Final

from drshym_pipeline.storage import write_text

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "requirements"
PACKAGE: Final = "drshym-pipeline"
# A CPU build of torch needs none of the others, so they are not among the packages of both images.
_OF_TORCH = re.compile(r"(torch|torchvision|triton|nvidia-.+|cuda-.+)==")
_CPU: Final = ("torch==", "torchvision==")
_NOTE: Final = "# Written by `python -m deploy.lock`. Do not edit.\n"
_CPU_NOTE: Final = (
    "# The CPU build is in an index of its own, and its files have other hashes than those in torch-cuda.txt. To have\n"
    "# them checked, add a line `--hash=sha256:...` for each file; docs/container.md says how.\n"
)


def locked_blocks(requirements: str, constraints: str) -> list[str]:
    """Return the lock of some requirements: for each package its version and hashes, as lines of a file for pip.

    Args:
        requirements: One requirement per line.
        constraints: The versions that are allowed, one per line.

    Raises:
        CalledProcessError: The requirements contradict each other or the versions, or a package cannot be found.
    """
    with tempfile.TemporaryDirectory() as folder:
        wanted, allowed, lock = (Path(folder, name) for name in ("wanted.in", "allowed.txt", "lock.txt"))
        wanted.write_text(requirements, "utf-8")
        allowed.write_text(constraints, "utf-8")
        command = ["uv", "pip", "compile", "--quiet", "--python-version", "3.11", "--generate-hashes"]
        command += ["--python-platform", "x86_64-manylinux_2_28", "--no-annotate", "--no-header"]
        subprocess.run([*command, "-c", allowed, "-o", lock, wanted], check=True)
        return re.split(r"\n(?=\S)", lock.read_text("utf-8").strip())


def installed_versions() -> str:
    """Return a line such as `numpy==2.4.0` for each package of this environment, except this one."""
    found = {item.name: item.version for item in importlib.metadata.distributions()}
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()) if name != PACKAGE)


def main() -> None:
    """Write the lock files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    versions = installed_versions()
    blocks = locked_blocks("\n".join(project["project"]["dependencies"]), versions)
    of_torch = [block for block in blocks if _OF_TORCH.match(block)]
    others = [block for block in blocks if not _OF_TORCH.match(block)]
    cpu = [block.split(" ")[0] for block in of_torch if block.startswith(_CPU)]
    build = locked_blocks("\n".join(project["build-system"]["requires"]), versions)
    for name, note, lines in (
        ("packages.txt", _NOTE, others),
        ("torch-cuda.txt", _NOTE, of_torch),
        ("torch-cpu.txt", _NOTE + _CPU_NOTE, cpu),
        ("build.txt", _NOTE, build),
    ):
        write_text(FOLDER / name, note + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
