"""Simulated Sentinel-1 scenes with a flood whose truth is known: `scene` makes them, `writer` writes them."""
