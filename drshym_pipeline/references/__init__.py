"""What a map is compared with: the water that was there before, and the ground that the terrain excludes.

`reference` has the probability of water before, as every map uses it, and `event_scene` the open scene of a map. There
are three kinds of references: `pre_event` and `mapped_pre_event` (a scene from before the event), `earlier_maps` and
`earlier_median` (the median of earlier maps of a store, which `mapped_scenes` lists), and `reference_layers` (long-term
layers). `exclusion` reads the terrain. `reference_plan` says what the reference of one map will be, `layers_plan` does
that for layers and terrain, and `reference_choice` chooses for a map of the watched folder. `grid_points` gives places
of a grid in degrees, by which grids are compared.
"""
