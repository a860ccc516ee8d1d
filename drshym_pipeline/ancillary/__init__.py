"""Global layers in tiles: surface water, land cover, elevation, height above drainage.

`layers` has the official names, corners and values of the tiles. `places` opens what a user names: `folder` finds tiles
in a folder, `bucket` in a bucket (`bucket_address`, `bucket_client`), with local copies (`tile_cache`). `blocks`
divides a map grid, `warping` moves values of tiles to it. What the values mean for a map is decided in
`references.reference_layers` and `references.exclusion`.
"""
