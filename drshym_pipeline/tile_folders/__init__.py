"""Tiles as files, as the scripts of the original system used them: chips to probabilities, probabilities to a map.

`listing` says which files of a folder are tiles and of which scene, `rasters` opens them, `assembling` puts the
backscatter of a scene together from its chips, `predicting` writes the probability of every tile, `predicted` checks
and reads the predicted tiles, `exporting` makes the map of a scene from them. The same functions as for a scene in one
piece do the work, so the map is the same.
"""
