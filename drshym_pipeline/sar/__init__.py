"""Reading Sentinel-1 scenes: safe opening, identity, units, georeference; no model knows of it."""
