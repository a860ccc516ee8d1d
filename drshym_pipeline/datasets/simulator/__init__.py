"""Simulated Sentinel-1 scenes with a known flood: `scene` computes them, `writer` writes them."""
