"""The command `serve`: options become settings, uvicorn serves the application until it is stopped.

Access is decided before anything starts: an address that other machines can reach needs a token.
"""

from __future__ import annotations

import difflib
import logging
import os
import socket
import sys
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from drshym_pipeline.commands.ancillary import AncillaryOption, ancillary_options
from drshym_pipeline.commands.options import CheckpointOption
from drshym_pipeline.console import printing, result_line
from drshym_pipeline.errors import InputError

if TYPE_CHECKING:
    from drshym_pipeline.service.settings import ServiceSettings

TOKEN_VARIABLE: Final = "DRSHYM_SERVICE_TOKEN"
_SHORTEST_TOKEN: Final = 16
_OPTIONS: Final = {"input_roots": "--input-root"}  # options that are not called as their setting
_LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"

RootOption = Annotated[
    Path | None,
    typer.Option("--root", help="Folder of the service; by default `service` in $DAGSTER_HOME, or in .dagster."),
]
HostOption = Annotated[
    str | None, typer.Option("--host", help="Address to listen on; all but the loopback address need a token.")
]
PortOption = Annotated[
    int | None, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one. [default: 8080]")
]
InputRootOption = Annotated[
    list[Path] | None,
    typer.Option("--input-root", help="Folder whose scenes may be named by image_uri; may be given several times."),
]
StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Store of Dagster whose maps are shown too; by default that in $DAGSTER_HOME."),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option("--token-file", help=f"File with the token of all requests; or set {TOKEN_VARIABLE}."),
]
WorkersOption = Annotated[int | None, typer.Option("--workers", min=1, help="Processes that map scenes.")]


def serve(
    *,
    root: RootOption = None,
    host: HostOption = None,
    port: PortOption = None,
    input_root: InputRootOption = None,
    store: StoreOption = None,
    ancillary: AncillaryOption = None,
    checkpoint: CheckpointOption = None,
    token_file: TokenFileOption = None,
    workers: WorkersOption = None,
) -> None:
    """Start the HTTP service: a page for uploads and maps, and an API for programs (docs/service.md)."""
    given: dict[str, Any] = {
        "root": root,
        "host": host,
        "port": port,
        "input_roots": tuple(input_root) if input_root else None,
        "store": store,
        "ancillary": ancillary,
        "checkpoint": checkpoint,
        "token": None if token_file is None else read_token(token_file),
        "workers": workers,
    }
    settings = service_settings({name: value for name, value in given.items() if value is not None})
    check_access(settings)
    check_model(settings)
    _serve(settings)


def service_settings(given: dict[str, Any]) -> ServiceSettings:
    """Return the settings of the service: the options, then the environment, then the defaults.

    Args:
        given: The options that the user has given, by the names of the settings.

    Raises:
        InputError: A value is out of its range, a folder does not exist, or a variable has the name of no setting.
    """
    from pydantic import ValidationError

    from drshym_pipeline.service.settings import ServiceSettings
    from drshym_pipeline.settings import find_home

    home = find_home()
    prefix = str(ServiceSettings.model_config["env_prefix"])
    _refuse_unknown(prefix, ServiceSettings.model_fields)
    names = {name: _OPTIONS.get(name, f"--{name.replace('_', '-')}") for name in given}
    if "root" not in given and f"{prefix}ROOT" not in os.environ:
        given = {**given, "root": home / "service"}
    if "store" not in given and f"{prefix}STORE" not in os.environ:
        default = Path(os.environ.get("DRSHYM_STORE", home / "store"))
        given = {**given, "store": default if default.is_dir() else None}
    try:
        settings = ServiceSettings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        message = first["msg"].removeprefix("Value error, ")
        # The value is not repeated, because it may be the token.
        raise InputError(
            names.get(name, f"{prefix}{name}".upper()), message[:1].lower() + message[1:], "Correct the value"
        ) from error
    for name, folder in (
        *(("input_roots", folder) for folder in settings.input_roots),
        ("store", settings.store),
    ):
        if folder is not None and not folder.is_dir():
            raise InputError(
                names.get(name, f"{prefix}{name}".upper()), f"{folder} is not a folder", "Give a folder that exists"
            )
    ancillary_options(settings.ancillary)  # refuses a place that cannot be used, before any scene is mapped
    return settings


def _refuse_unknown(prefix: str, settings: Iterable[str]) -> None:
    """Refuse variables of the environment that no setting has: a limit with a wrong name would not be set.

    Raises:
        InputError: There is one.
    """
    known = [name.upper() for name in settings]
    for name in sorted(os.environ):
        if name.startswith(prefix) and name.removeprefix(prefix) not in known:
            near = difflib.get_close_matches(name.removeprefix(prefix), known, n=1)
            meant = f"Did you mean {prefix}{near[0]}?" if near else "Read the settings in docs/service.md"
            raise InputError(name, "no setting of the service has this name", meant)


def read_token(path: Path) -> str:
    """Return the token in the first line of a file.

    Raises:
        InputError: The file cannot be read, or its token is missing or short.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError as error:
        raise InputError(path, "the file does not exist", "Give a file with the token in its first line") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            path, "cannot be read as a file with a token", "Write the token into its first line"
        ) from error
    token = lines[0].strip() if lines else ""
    if not token:
        raise InputError(path, "contains no token", "Write the token into its first line")
    _check_length(path, token)
    return token


def _check_length(source: Path | str, token: str) -> None:
    if len(token) < _SHORTEST_TOKEN:
        raise InputError(
            source,
            f"the token has fewer than {_SHORTEST_TOKEN} characters",
            "Use a long random one, such as that of `openssl rand -hex 32`",
        )


def check_access(settings: ServiceSettings) -> None:
    """Refuse to serve other machines without a token.

    Raises:
        InputError: There is no token, or it is short.
    """
    from drshym_pipeline.service.access import is_loopback

    if settings.token is None:
        if not is_loopback(settings.host):
            raise InputError(
                "--host",
                f"other machines can reach {settings.host}, and no token is set",
                f"Set --token-file or {TOKEN_VARIABLE}, and put a proxy with TLS before the service, because it has no "
                "TLS itself",
            )
    else:
        _check_length(TOKEN_VARIABLE, settings.token.get_secret_value())


def check_model(settings: ServiceSettings) -> None:
    """Refuse a model that the workers could not load. The network itself is not loaded here.

    Raises:
        InputError: The model is missing or damaged.
    """
    from drshym_pipeline.model.choice import choose_model

    choose_model(settings.checkpoint)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises:
        InputError: The address does not exist or is in use.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = found[0]
        return socket.create_server(place[:2], family=family, backlog=128)
    except OSError as error:
        raise InputError(
            f"{host}:{port}",
            f"the service cannot listen there ({error.strerror})",
            "Choose another --port, or 0 for a free one",
        ) from error


def address_text(listener: socket.socket) -> str:
    """Return the address that users open, such as `http://127.0.0.1:8080`."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _print_address(address: str) -> None:
    """Print where the service listens, also with `--quiet`: with `--port 0` nothing else says it.

    With `--json` it is a document in one line, which a program can read while the service runs.
    """
    if printing().json:
        from drshym_pipeline.commands.result_documents import ServeDocument

        sys.stdout.write(ServeDocument(address=address).model_dump_json() + "\n")
    else:
        sys.stdout.write(f"The service listens on {address} (Ctrl+C stops it).\n")
    sys.stdout.flush()


def _serve(settings: ServiceSettings) -> None:
    """Serve until the process gets SIGINT or SIGTERM.

    Raises:
        InputError: The folder or the address cannot be used.
    """
    from drshym_pipeline.service.app import create_app
    from drshym_pipeline.service.server import Server

    app = create_app(settings)
    server = Server(app, settings)
    with ExitStack() as held:
        held.callback(app.state.service.stop)
        # Before the address is printed, and before anything is logged.
        app.state.service.open()
        listener = held.enter_context(listen(settings.host, settings.port))
        level = logging.ERROR if printing().quiet else logging.INFO
        logging.basicConfig(format=_LOG_FORMAT, level=level, stream=sys.stderr)
        logging.getLogger("uvicorn").setLevel(max(level, logging.WARNING))
        _print_start(settings, listener)
        # uvicorn sends the signal again when it has stopped normally.
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    if not server.started:
        raise typer.Exit(1)


def _print_start(settings: ServiceSettings, listener: socket.socket) -> None:
    """Print where the service is and what it may be used for."""
    _print_address(address_text(listener))
    result_line(f"Its maps are in {settings.root.absolute()}.")
    if not settings.input_roots:
        result_line("It maps uploads only. --input-root FOLDER allows image_uri for the scenes of a folder.")
    if settings.token is not None:
        result_line("Requests need the token. Put a proxy with TLS before the service if other machines use it.")
    sys.stdout.flush()
