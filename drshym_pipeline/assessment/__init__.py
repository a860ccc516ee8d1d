"""Scores, calibration of probabilities and area intervals; arithmetic only, no plots."""
