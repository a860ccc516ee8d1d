"""Scenes and maps as labelled arrays (xarray), for `drshym_pipeline.segment`.

`array_scene` writes an array as the GeoTIFF that the reader of scenes reads, `map_dataset` reads the files of a map as
arrays, `array_errors` puts the names of arrays and of Python options into messages, and `segmenting` joins them. The
map itself is made by `mapping`.
"""
