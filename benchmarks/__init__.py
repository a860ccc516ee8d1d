"""Measurements, printed as ratios of programs that ran in turn in one session: `make bench`."""
