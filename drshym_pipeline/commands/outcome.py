"""The results of one command: collected while its scenes are mapped, shown at the end."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import typer

from drshym_pipeline.commands.exit_codes import ExitCode
from drshym_pipeline.commands.option_names import with_option_name
from drshym_pipeline.commands.stopping import RUN_AGAIN, StoppedError
from drshym_pipeline.console import (
    Display,
    error_line,
    map_row,
    note_line,
    notes,
    print_table,
    printing,
    result_line,
    shown_progress,
)
from drshym_pipeline.errors import DrShymError, ExplainedError, InputError, UnavailableError
from drshym_pipeline.tiling import TileGrid

if TYPE_CHECKING:
    from drshym_pipeline.commands.document_base import SceneFailed
    from drshym_pipeline.model.choice import ChosenModel
    from drshym_pipeline.records import MapRecord, PrecisionOption
    from drshym_pipeline.tile_folders.predicting import TilesPrediction

MappingCommand = Literal["segment", "predict-folder", "export-stitched"]
STOPPED = "was not mapped, because the command was stopped"
_WITHOUT_AREA: Final = {
    "nothing_observed": "nothing was observed",
    "all_excluded": "all observed ground is excluded",
}


@dataclass(frozen=True)
class SceneToMap:
    """One scene of a command.

    Args:
        sources: Its files, VV first.
        out: The folder for its products.
        scene_id: Its name, different from that of every other scene with this folder.
    """

    sources: Sequence[Path]
    out: Path
    scene_id: str


@dataclass(frozen=True)
class Job:
    """One step of a command, which may fail without stopping the others.

    Args:
        sources: What is worked on, for messages; the first one is the title of the progress.
        work: Does it, and adds the result to the outcome.
    """

    sources: Sequence[Path]
    work: Callable[[Display], None]


@dataclass
class Outcome:
    """The maps and the failures of one command.

    Args:
        command: Name of the command.
        model: The model that is used; None until it is loaded.
        maps: Records of the maps and their folders.
        failures: Scenes that were not mapped, and why.
        tiles: Scenes whose tiles were predicted, and the folders of the tiles.
    """

    command: MappingCommand
    model: ChosenModel | None = None
    maps: list[tuple[MapRecord, Path]] = field(default_factory=list)
    failures: list[SceneFailed] = field(default_factory=list)
    tiles: list[tuple[TilesPrediction, Path]] = field(default_factory=list)

    def choose(self, checkpoint: Path | None) -> ChosenModel:
        """Load the model and print on stderr which one it is and why.

        Args:
            checkpoint: Folder of the model; by default the model in service, or the shipped one if none is.

        Raises:
            InputError: The model cannot be loaded.
        """
        from drshym_pipeline.model.choice import choose_model

        self.model = choose_model(checkpoint)
        note_line(f"model: {self.model.text()}")
        return self.model

    def refuse(self, error: ExplainedError, sources: Sequence[Path] = ()) -> None:
        """Record and report an input that cannot be used, or cannot be reached now."""
        from drshym_pipeline.commands.document_base import SceneFailed

        error = with_option_name(error)
        error_line(error)
        named = tuple(str(source.absolute()) for source in sources)
        self.failures.append(
            SceneFailed(
                sources=named,
                file=error.subject,
                problem=error.problem,
                remedy=error.remedy,
                kind="input" if isinstance(error, InputError) else "fault",
            )
        )

    def fail(self, error: Exception, sources: Sequence[Path]) -> None:
        """Record and report a fault of the program or the machine; on stderr its traceback is above the line."""
        from drshym_pipeline.commands.document_base import SceneFailed

        remedy = "Repair what the message names, then map the scene again"
        problem = str(error)
        if not isinstance(error, DrShymError):
            traceback.print_exception(error)
            remedy = "Read the traceback on stderr, remove the cause, then map the scene again"
            problem = f"{type(error).__name__}: {error}"
        error_line(f"{sources[0].absolute()}: {problem}")
        self.failures.append(
            SceneFailed(
                sources=tuple(str(source.absolute()) for source in sources),
                file=str(sources[0].absolute()),
                problem=problem,
                remedy=remedy,
                kind="fault",
            )
        )

    def stop(self, groups: Sequence[Sequence[Path]] = ()) -> None:
        """Record and report that the user stopped the command.

        Args:
            groups: The scenes that were not mapped; empty if none was begun.
        """
        from drshym_pipeline.commands.document_base import SceneFailed, failure_of

        if not groups:
            error_line(StoppedError())
            self.failures.append(failure_of(self.command, StoppedError()))
            return
        error_line(f"stopped: {len(groups)} {'scene was' if len(groups) == 1 else 'scenes were'} not mapped")
        for sources in groups:
            named = tuple(str(source.absolute()) for source in sources)
            self.failures.append(
                SceneFailed(sources=named, file=named[0], problem=STOPPED, remedy=RUN_AGAIN, kind="stopped")
            )

    @property
    def exit_code(self) -> ExitCode:
        """The exit code so far.

        `PART` if at least one scene was mapped and at least one was not. If no scene was mapped, a fault takes
        precedence over an input that cannot be used, because then it can help to run the command again.
        """
        if not self.failures:
            return ExitCode.DONE
        if self.maps or self.tiles:
            return ExitCode.PART
        return ExitCode.INPUT if all(failure.kind == "input" for failure in self.failures) else ExitCode.FAULT

    def print_document(self) -> None:
        """Print all results as one JSON document on stdout."""
        from drshym_pipeline.commands.document_base import print_document
        from drshym_pipeline.commands.documents import (
            MappingDocument,
            ModelUsed,
            SceneMapped,
            TilesPredicted,
            map_state,
        )

        maps = tuple(
            SceneMapped(
                state=map_state(record),
                folder=str(folder.absolute()),
                record=record,
            )
            for record, folder in self.maps
        )
        model = None if self.model is None else ModelUsed.of(self.model)
        print_document(
            MappingDocument(
                command=self.command,
                exit_code=self.exit_code,
                model=model,
                maps=maps,
                tiles=tuple(TilesPredicted.of(made, folder) for made, folder in self.tiles),
                failures=tuple(self.failures),
            )
        )

    def print_table(self) -> None:
        """Print the maps as a table on stdout, with their warnings; or the predicted tiles."""
        from drshym_pipeline.commands.documents import map_state

        if self.tiles:
            self._print_tiles()
        if not self.maps:
            return
        records = [record for record, _ in self.maps]
        total = len(self.maps) + len(self.failures)
        title = "1 scene mapped" if total == 1 else f"{len(self.maps)} of {total} scenes mapped"
        counts: Counter[str] = Counter(map_state(record) for record in records)
        if empty := [f"{text} in {counts[state]}" for state, text in _WITHOUT_AREA.items() if counts[state]]:
            title += f" ({'; '.join(empty)})"
        if self.failures:
            title += f", {len(self.failures)} failed"
        rows = [map_row(record, folder) for record, folder in self.maps]
        print_table(title, ("scene", "water", "observed", "mask"), rows)
        for note in notes(records):
            result_line(note)

    def _print_tiles(self) -> None:
        total = len(self.tiles) + len(self.failures)
        title = f"tiles of {'1 scene' if total == 1 else f'{len(self.tiles)} of {total} scenes'} predicted"
        rows = [(made.scene_id, f"{made.present} of {made.count}", str(folder)) for made, folder in self.tiles]
        print_table(title, ("scene", "tiles", "folder"), rows)


@contextmanager
def shown_outcome(command: MappingCommand) -> Iterator[Outcome]:
    """Collect the results of a command, show them, and end the command with its exit code.

    With `--json` the document is printed instead of a table, also when an input cannot be used.

    Args:
        command: Name of the command.

    Raises:
        typer.Exit: With every exit code except 0.
    """
    outcome = Outcome(command)
    try:
        yield outcome
    except (InputError, UnavailableError) as error:
        outcome.refuse(error)
    except KeyboardInterrupt:  # outside the jobs, such as while the model is loaded
        outcome.stop()
    if printing().json:
        outcome.print_document()
    else:
        outcome.print_table()
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def map_groups(
    outcome: Outcome,
    scenes: Sequence[SceneToMap],
    checkpoint: Path | None,
    *,
    tile: int,
    overlap: int,
    batch_size: int | None,
    precision: PrecisionOption,
    min_area_ha: float,
    threshold: float | None,
    **options: Any,
) -> None:
    """Map scenes one after the other with one model; a scene that cannot be mapped does not stop the others.

    Args:
        outcome: Receives the maps and the failures.
        scenes: The scenes.
        checkpoint: Folder of the model; by default the model in service, or the shipped one if none is.
        tile: Tile side in pixels.
        overlap: Overlap of neighbouring tiles in pixels.
        batch_size: Tiles in one forward pass on a GPU; chosen for the machine when None.
        precision: `fp32`, `bf16` or `auto`.
        min_area_ha: Water areas below this size become dry, in hectares; 0 to keep all areas.
        threshold: The probability from which a pixel is water; that of the model when None.
        options: More options of `mapping.map_scene`.

    Raises:
        InputError: The model cannot be loaded, or an option is out of range.
    """
    from drshym_pipeline.inference import check_prediction_options
    from drshym_pipeline.map_threshold import check_threshold
    from drshym_pipeline.mapping import map_scene
    from drshym_pipeline.records import check_min_area

    # A bad option is reported once, not for every scene.
    check_prediction_options(batch_size, precision)
    options |= {"min_area_ha": check_min_area(min_area_ha), "threshold": check_threshold(threshold)}
    TileGrid(1, 1, tile, overlap)
    options |= {"tile": tile, "overlap": overlap, "batch_size": batch_size, "precision": precision}
    model = outcome.choose(checkpoint)

    def job(scene: SceneToMap) -> Job:
        def work(progress: Display) -> None:
            record = map_scene(
                scene.sources,
                scene.out,
                model.bundle,
                model.reference,
                scene_id=scene.scene_id,
                progress=progress,
                **options,
            )
            outcome.maps.append((record, scene.out))

        return Job(scene.sources, work)

    run_jobs(outcome, [job(scene) for scene in scenes])


def run_jobs(outcome: Outcome, jobs: Sequence[Job]) -> None:
    """Work one after the other; one that fails does not stop the others.

    Args:
        outcome: Receives the failures.
        jobs: The work. If the user stops the command, the rest is reported as not done.
    """
    for place, job in enumerate(jobs):
        try:
            with shown_progress(job.sources[0].name) as progress:
                job.work(progress)
        except (InputError, UnavailableError) as error:
            outcome.refuse(error, job.sources)
        except KeyboardInterrupt:
            outcome.stop([left.sources for left in jobs[place:]])
            return
        except Exception as error:
            outcome.fail(error, job.sources)
