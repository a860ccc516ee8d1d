"""The command `status`: the model in service, the state of each scene, and the disk space in use."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drshym_pipeline.commands.exit_codes import ExitCode
from drshym_pipeline.console import error_line, print_table, printing, result_line, water_text
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import counted
from drshym_pipeline.settings import PipelineSettings

if TYPE_CHECKING:
    from drshym_pipeline.scene_store import SceneStatus, SceneStore

_KINDS = {
    "maps": ("scenes/*/*/maps", "scenes/*/*/products"),
    "tile probabilities": ("scenes/*/*/probabilities", "scenes/*/*/probabilities.zarr"),
    "backscatter": ("scenes/*/*/backscatter.tif",),
    "copies of sources": ("scenes/*/*/source",),
    "models": ("models",),
    "trainings": ("training",),
}
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def status(
    scene: Annotated[
        str | None, typer.Argument(help="Name of a scene, to show all its maps.", show_default=False)
    ] = None,
) -> None:
    """Show the model in service and every scene (current, outdated, waiting or failed), or all maps of one SCENE."""
    from drshym_pipeline.scene_store import SceneStore

    settings = PipelineSettings.from_environment()
    store = SceneStore(settings.store_path)
    if printing().json:
        _print_document(store, scene)
        return
    if scene is not None:
        _check_scene(store, scene)
        _one_scene(store, scene)
        return
    from drshym_pipeline.model.choice import choose_model

    chosen = choose_model()
    served = chosen.reference
    result_line(f"model: {chosen.text()}")
    found = [store.status(name) for name in store.names()]
    if not found:
        result_line(f"no scene is mapped in {settings.store_path}")
    else:
        rows = [_row(item, served.sha256) for item in found]
        print_table(_title(found, rows), ("scene", "state", "model", "water", "mapped"), rows)
        for item in found:
            if item.state == "failed":
                result_line(f"{item.scene} failed: {item.reason}")
    for name, failure in store.other_failures().items():
        result_line(f"{name} failed at {failure.at:%Y-%m-%d %H:%M} UTC: {failure.reason}")
    result_line(disk_text(settings.store_path, settings.inbox_path))


def _row(item: SceneStatus, served_sha256: str) -> tuple[str, str, str, str, str]:
    if item.map is None or not item.map.manifest.is_file():
        return item.scene, item.state, "", "", item.reason if item.state == "waiting" else ""
    record = item.map.record()
    current = "current" if record.model.sha256 == served_sha256 else "outdated"
    state = current if item.state == "mapped" else f"{item.state}, earlier map {current}"
    return item.scene, state, record.model.label, water_text(record), f"{record.created_at:%Y-%m-%d %H:%M} UTC"


def _title(found: list[SceneStatus], rows: list[tuple[str, str, str, str, str]]) -> str:
    outdated = sum(row[1].endswith("outdated") for row in rows)
    waiting = sum(item.state == "waiting" for item in found)
    failed = sum(item.state == "failed" for item in found)
    return f"{counted(len(rows), 'scene')}, {outdated} outdated, {waiting} waiting, {failed} failed"


def _check_scene(store: SceneStore, scene: str) -> None:
    names = store.names()
    if scene not in names:
        near = difflib.get_close_matches(scene, names, n=1)
        known = f"Did you mean '{near[0]}'?" if near else "`drshym status` lists all scenes"
        raise InputError(scene, "is not a scene of the store", known)


def _print_document(store: SceneStore, scene: str | None) -> None:
    from drshym_pipeline.commands.document_base import print_document
    from drshym_pipeline.commands.status_document import refused_document, status_document

    try:
        if scene is not None:
            _check_scene(store, scene)
        document = status_document(store, scene)
    except InputError as error:
        error_line(error)
        print_document(refused_document(store, error))
        raise typer.Exit(ExitCode.INPUT) from error
    print_document(document)


def _one_scene(store: SceneStore, scene: str) -> None:
    item = store.status(scene)
    result_line(f"{scene}: {item.state}{f' ({item.reason})' if item.reason else ''}")
    sources = store.sources(scene)
    if sources is not None:
        result_line(f"files in the watched folder: {', '.join(sources.files)}")
    rows = [
        (
            found.version or "0.1.0",
            found.scene.directory.name,
            found.record().model.label,
            water_text(found.record()),
            f"{found.record().created_at:%Y-%m-%d %H:%M} UTC",
            "newest" if found == item.map else "",
            str(found.products),
        )
        for found in reversed(store.finished_maps(scene))
    ]
    header = ("map", "scene version", "model", "water", "mapped", "", "folder")
    print_table(f"{len(rows)} finished {'map' if len(rows) == 1 else 'maps'}", header, rows)


def size_text(count: int) -> str:
    """Return a number of bytes in a suitable unit, such as `12.3 MB`; one kB is 1,000 bytes."""
    value, unit = float(count), 0
    while value >= 1000.0 and unit < len(_UNITS) - 1:
        value, unit = value / 1000.0, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def bytes_of(path: Path) -> int:
    """Count the bytes of a file, or of all files below a folder; 0 if the path does not exist."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for file in path.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() and not file.is_symlink() else 0
        except FileNotFoundError:  # a run has moved it in the meantime
            continue
    return total


def disk_text(store: Path, inbox: Path) -> str:
    """Return one line with the disk space of the store and the watched folder."""
    parts = {
        kind: sum(bytes_of(path) for pattern in patterns for path in store.glob(pattern))
        for kind, patterns in _KINDS.items()
    }
    shown = ", ".join(f"{kind} {size_text(count)}" for kind, count in parts.items() if count)
    return (
        f"disk use: store {size_text(bytes_of(store))}{f' ({shown})' if shown else ''}, "
        f"watched folder {size_text(bytes_of(inbox))}"
    )
