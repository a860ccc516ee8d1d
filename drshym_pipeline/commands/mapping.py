"""The commands that map: `segment` named scenes, `predict-folder` all scenes of a folder.

Parse, call, print. One process maps all of them with a model that is loaded once; a scene that cannot be mapped is told
and never stops the others. Nothing heavy is imported before a scene is at hand.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from drshym_pipeline.commands.options import (
    CheckpointOption,
    OutOption,
    OverlapOption,
    TileOption,
    UnitsOption,
    VHOption,
    VVOption,
    choose_model,
)
from drshym_pipeline.console import error_line, map_row, notes, print_table, shown_progress
from drshym_pipeline.errors import DrShymError, InputError
from drshym_pipeline.storage import TEMPORARY_PREFIX
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE

if TYPE_CHECKING:
    from drshym_pipeline.records import MapRecord

EXIT_FAULT = 1
EXIT_INPUT = 2

_SUFFIXES = (".tif", ".tiff")
# Rasters this program writes beside a map's record: a folder that was mapped into itself must not map its own maps.
_PRODUCTS = ("_mask", "_proba")

BatchOption = Annotated[int | None, typer.Option("--batch-size", help="Tiles a forward pass on a GPU.")]
PrecisionOption = Annotated[Literal["auto", "fp32", "bf16"], typer.Option("--precision")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace another scene's files of the same names.")]


def group_sources(scenes: Sequence[Path], vv: Path | None, vh: Path | None) -> list[list[Path]]:
    """The files of each scene, VV first.

    Files of one folder whose names differ only by polarisation are one scene.

    Args:
        scenes: Files as given.
        vv: The VV file of one more scene.
        vh: Its VH file.

    Raises:
        InputError: Nothing is given, or VH without VV.
    """
    from drshym_pipeline.sar.products import pair_key

    if vv is None and vh is not None:
        raise InputError("--vh", "is given without --vv", "Give the VV file too; VH alone cannot be mapped")
    groups: dict[tuple[str, ...], dict[str, Path]] = {}
    for place, scene in enumerate(scenes):
        name, polarisation = pair_key(scene.name)
        key = (str(scene.parent), name) if polarisation else (str(scene.parent), name, str(place))
        if (polarisation or "VV") in groups.get(key, {}):
            key = (*key, str(place))
        groups.setdefault(key, {})[polarisation or "VV"] = scene
    found = [[files[name] for name in ("VV", "VH") if name in files] for files in groups.values()]
    if vv is not None:
        found.append([vv] if vh is None else [vv, vh])
    if not found:
        raise InputError("SCENE", "no scene is given", "Give a GeoTIFF, or --vv and --vh")
    return found


@dataclass
class Outcome:
    """What became of many scenes.

    Args:
        done: Records of the maps and the folders they lie in.
        code: Exit code so far: 0, 2 when a scene cannot be used, 1 after a fault of the program or the machine.
    """

    done: list[tuple[MapRecord, Path]] = field(default_factory=list)
    code: int = 0

    def show(self, title: str) -> None:
        """Print the table of the maps and what must be known of them, and end with the exit code."""
        if self.done:
            rows = [map_row(record, out) for record, out in self.done]
            print_table(title, ("scene", "open water", "observed", "mask"), rows)
            typer.echo("\n".join(notes([record for record, _ in self.done])))
        if self.code:
            raise typer.Exit(self.code)


def map_groups(groups: Sequence[tuple[Sequence[Path], Path]], checkpoint: Path | None, **options: Any) -> Outcome:
    """Map scenes one after the other with one model.

    Args:
        groups: The files of each scene and the folder of its products.
        checkpoint: The model; by default the one in service.
        options: Of `mapping.map_scene`.

    Raises:
        InputError: The model cannot be loaded.
    """
    from drshym_pipeline.mapping import map_scene

    bundle, reference = choose_model(checkpoint)
    outcome = Outcome()
    for sources, out in groups:
        try:
            with shown_progress(sources[0].name) as progress:
                record = map_scene(sources, out, bundle, reference, progress=progress, **options)
            outcome.done.append((record, out))
        except InputError as error:
            error_line(error)
            outcome.code = outcome.code or EXIT_INPUT
        except Exception as error:
            # One scene must not take the others with it; what went wrong stays readable above the line.
            if not isinstance(error, DrShymError):
                traceback.print_exc()
            error_line(f"{sources[0]}: {error}")
            outcome.code = EXIT_FAULT
    return outcome


def segment(
    *,
    out: OutOption,
    scenes: Annotated[list[Path] | None, typer.Argument(metavar="[SCENE]...", help="Sentinel-1 GeoTIFFs.")] = None,
    vv: VVOption = None,
    vh: VHOption = None,
    units: UnitsOption = None,
    checkpoint: CheckpointOption = None,
    tile: TileOption = DEFAULT_TILE,
    overlap: OverlapOption = DEFAULT_OVERLAP,
    batch_size: BatchOption = None,
    precision: PrecisionOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Map scenes: mask, probability, polygons, picture, caption and report of each."""
    groups = [(sources, out) for sources in group_sources(scenes or [], vv, vh)]
    outcome = map_groups(
        groups,
        checkpoint,
        units=units,
        tile=tile,
        overlap=overlap,
        batch_size=batch_size,
        precision=precision,
        overwrite=overwrite,
    )
    outcome.show(f"Mapped by {outcome.done[0][0].model.label}" if outcome.done else "")


def scene_files(folder: Path, but_not: Path) -> Iterator[Path]:
    """The GeoTIFFs of a folder and its subfolders, in the order of their paths, without products and hidden files.

    Args:
        folder: Where to look.
        but_not: The folder of the results: left out where it lies inside.
    """
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix.lower() not in _SUFFIXES or not path.is_file():
            continue
        if path.is_relative_to(but_not) and not folder.is_relative_to(but_not):
            continue
        if any(part.startswith((".", "~", TEMPORARY_PREFIX)) for part in parts):
            continue
        product = next((end for end in _PRODUCTS if path.stem.endswith(end)), None)
        if product and path.with_name(f"{path.stem.removesuffix(product)}_report.json").is_file():
            continue
        yield path


def predict_folder(
    *,
    folder: Annotated[
        Path, typer.Option("--in", "--in-dir", "--in_dir", "--scenes_dir", help="Folder of scenes, with subfolders.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", "--out-dir", "--out_dir", "--proba_dir", help="Folder for the results.")
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option("--ckpt", "--checkpoint", help="A sealed model; by default the one in service."),
    ] = None,
    units: UnitsOption = None,
    tile: TileOption = DEFAULT_TILE,
    overlap: OverlapOption = DEFAULT_OVERLAP,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "--batch_size", help="Tiles a forward pass on a GPU.")
    ] = None,
    precision: PrecisionOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Map every scene of a folder in one process; subfolders are kept, so that equal names do not meet."""
    if not folder.is_dir():
        raise InputError(folder, "is not a folder", "Give the folder that holds the scenes")
    files = list(scene_files(folder.resolve(), out.resolve()))
    if not files:
        raise InputError(folder, "holds no GeoTIFF (.tif, .tiff)", "Give the folder that holds the scenes")
    groups = [
        (sources, out / sources[0].parent.relative_to(folder.resolve())) for sources in group_sources(files, None, None)
    ]
    outcome = map_groups(
        groups,
        checkpoint,
        units=units,
        tile=tile,
        overlap=overlap,
        batch_size=batch_size,
        precision=precision,
        overwrite=overwrite,
    )
    failed = len(groups) - len(outcome.done)
    outcome.show(f"{len(outcome.done)} of {len(groups)} scenes mapped" + (f", {failed} failed" if failed else ""))
