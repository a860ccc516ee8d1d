"""Measurements, printed as ratios of what ran side by side in one session: `make bench`."""
