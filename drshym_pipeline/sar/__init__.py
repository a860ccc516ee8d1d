"""Reading Sentinel-1 scenes: safe opening, names and pairs, units, georeference. Uses no model."""
