"""Simulated Sentinel-1 scenes with a flood whose truth is known."""

from drshym_pipeline.datasets.simulator.scene import SimulatedScene, simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_dataset, write_scene

__all__ = ["SimulatedScene", "simulate_scene", "write_dataset", "write_scene"]
