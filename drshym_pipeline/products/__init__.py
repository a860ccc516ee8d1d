"""The files of a map: rasters, pictures, vectors, the caption, the report page."""
