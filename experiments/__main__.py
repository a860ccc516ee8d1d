"""Run one of the experiments: `python -m experiments NAME --help` shows its options."""

from __future__ import annotations

import argparse
import importlib
import sys

from drshym_pipeline.errors import InputError

# Modules with a `main(arguments)`. A module is imported only when it is requested, because each needs other libraries.
EXPERIMENTS = {
    "aims": "experiments.aims",
    "area-scenes": "experiments.area_scenes",
    "card": "experiments.card",
    "flood-combinations": "experiments.flood_combinations",
    "flood-intervals": "experiments.flood_intervals",
    "leave-one-out": "experiments.leave_one_out",
    "leave-one-place-out": "experiments.leave_one_place_out",
    "sweep": "experiments.sweep",
    "terrain-exclusion": "experiments.terrain_exclusion",
    "novelty": "experiments.novelty",
    "minimum-area": "experiments.minimum_area",
    "network-trials": "experiments.network_trials",
    "real-chips": "experiments.real_chips",
    "scene-statistics": "experiments.scene_statistics",
    "known-chips": "experiments.known_chips",
    "spacing": "experiments.pixel_spacing",
}


def main(arguments: list[str]) -> None:
    """Run the experiment that the first argument names, with the options after its name.

    Args:
        arguments: Arguments of the command line, without the program.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument("name", choices=sorted(EXPERIMENTS))
    name = parser.parse_args(arguments[:1]).name
    try:
        importlib.import_module(EXPERIMENTS[name]).main(arguments[1:])
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
