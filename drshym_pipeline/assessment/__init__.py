"""How good and how sure: scores, calibration, area intervals; arithmetic only, no plots."""
