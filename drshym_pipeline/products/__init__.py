"""What is written for people: rasters, pictures, vectors, captions, the report page."""
