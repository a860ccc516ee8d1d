"""Labelled chips: Sen1Floods11, the other labelled sets, the simulator and augmentation; no training loop."""
