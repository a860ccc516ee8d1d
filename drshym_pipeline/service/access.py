"""Who may read what: addresses of scenes below the configured folders, and the token of requests.

An address outside the folders gets one fixed answer, whether there is a file or not, so that nobody can find out by
asking which files the machine has. Files below the folders are named in errors as usual.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from pydantic import SecretStr

from drshym_pipeline.errors import DrShymError, InputError

_SCHEME: Final = "file:"
_OWN_HOSTS: Final = ("", "localhost")
_BEARER: Final = "bearer"
# A SAFE folder has fewer than 100 files. The links in a folder are checked, and that must not take long.
_MOST_ENTRIES: Final = 10_000
_FORBIDDEN_TEXT: Final = (
    "The service does not open this address. It opens file:// addresses and absolute paths of this machine below the "
    "folders that its operator has configured (DRSHYM_SERVICE_INPUT_ROOTS). In a file:// address, write special "
    "characters percent-encoded. You can also upload the scene."
)


class ForbiddenError(DrShymError):
    """An address that the service does not open. The text is always the same and does not repeat the address."""

    def __init__(self) -> None:
        super().__init__(_FORBIDDEN_TEXT)


class MissingSceneError(InputError):
    """An address below the configured folders where no file is."""


def resolve_uri(uri: str, roots: Sequence[Path]) -> Path:
    """Return the file or folder of an address, without links and `..`.

    The check is made once. A user who may write into the folders can exchange a file afterwards, so the folders must be
    writable for trusted users only.

    Args:
        uri: A `file://` address, whose characters may be percent-encoded, or an absolute path, which is used as it is.
        roots: The folders that may be read, with everything below them.

    Raises:
        ForbiddenError: The address is outside the folders, leads out of them over a link, or cannot be understood.
        MissingSceneError: It is below the folders, but no file is there.
        InputError: It is below the folders, but cannot be a scene: a device, or a folder with too many files.
    """
    allowed = [Path(os.path.realpath(root)) for root in roots]
    path = _below(_path_of(uri), allowed)
    if not os.path.lexists(path):
        raise MissingSceneError(path, "the file does not exist", "Check the address")
    if path.is_dir():
        _check_links(path, allowed)
    elif path.is_symlink():  # it leads to itself, so it could not be resolved
        raise InputError(path, "is a broken link", "Give the address of the file itself")
    elif not path.is_file():
        raise InputError(path, "is neither a file nor a folder", "Give the address of a GeoTIFF or a SAFE product")
    return path


def _path_of(uri: str) -> str:
    """Return the path of an address as text, with links and `..` in it."""
    text = uri
    if uri[: len(_SCHEME)].lower() == _SCHEME:
        text = uri[len(_SCHEME) :]
        if text.startswith("//"):
            host, slash, rest = text[2:].partition("/")
            if host.lower() not in _OWN_HOSTS:
                raise ForbiddenError
            text = slash + rest
        if "?" in text or "#" in text:  # parts of an address that no file has; in a name they are percent-encoded
            raise ForbiddenError
        try:
            text = unquote_to_bytes(text).decode("utf-8")
        except UnicodeError as error:
            raise ForbiddenError from error
    # Two slashes at the beginning may mean another machine. Control characters would damage the lines of a log.
    if (
        not text.startswith("/")
        or text.startswith("//")
        or any(ord(letter) < 32 or ord(letter) == 127 for letter in text)
    ):
        raise ForbiddenError
    return text


def _below(path: str, allowed: Sequence[Path]) -> Path:
    """Return a path without links and `..`, if it is below one of the folders.

    Args:
        path: An absolute path.
        allowed: Folders without links and `..`.
    """
    try:
        resolved = Path(os.path.realpath(path))
    except (OSError, ValueError) as error:  # characters that no file name can have
        raise ForbiddenError from error
    if not any(resolved.is_relative_to(root) for root in allowed):
        raise ForbiddenError
    return resolved


def _check_links(folder: Path, allowed: Sequence[Path]) -> None:
    """Raise ForbiddenError if a link in a folder leads out of the folders that may be read."""
    count = 0
    for place, folders, files in os.walk(folder):
        count += len(folders) + len(files)
        if count > _MOST_ENTRIES:
            raise InputError(folder, f"contains more than {_MOST_ENTRIES} files", "Give the address of one scene")
        for entry in (Path(place, name) for name in (*folders, *files)):
            if entry.is_symlink():
                _below(str(entry), allowed)


def check_token(header: str | None, token: SecretStr | None) -> bool:
    """Return whether a request may be answered. The time does not depend on how much of the token is right.

    Args:
        header: The request's header `Authorization`, such as `Bearer abc`; None if it has none.
        token: The token of the service; None if it has none, and everybody may ask.
    """
    if token is None:
        return True
    scheme, _, given = (header or "").partition(" ")
    # Servers decode the bytes of a header as Latin-1, and programs send a token as UTF-8.
    expected = token.get_secret_value().encode("utf-8").decode("latin-1")
    same = hmac.compare_digest(given.strip(" ").encode("utf-8", "replace"), expected.encode("utf-8"))
    return same and expected != "" and scheme.lower() == _BEARER


def is_loopback(host: str) -> bool:
    """Return whether only programs of this machine can connect to an address to listen on.

    Args:
        host: An IP address or a name. No name but `localhost` counts, because a name may mean any address.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
