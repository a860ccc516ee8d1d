"""Labelled chips: Sen1Floods11, the simulator and augmentation; no training loop."""
