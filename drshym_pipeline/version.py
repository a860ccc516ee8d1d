"""The installed versions of this package and of the libraries it uses."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("drshym-pipeline")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0+source"


def software_versions(*libraries: str) -> dict[str, str]:
    """Return the installed versions of this package and of `libraries`, by package name."""
    found = {"drshym-pipeline": __version__}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
