"""What maps are compared with and that this project does not make: layers that others publish, as external assets.

They are shown beside the lineage. No run waits for them, and they need not exist.
"""

from dagster import AssetSpec

from assets.asset_facts import asset_facts

_LAYERS = {
    "elevation": "Elevation of the terrain, such as Copernicus GLO-30: slopes where water looks like shadow.",
    "reference_water": "Long-term maps of water, such as JRC Global Surface Water: which water is there in most years.",
    "land_cover": "Land cover, such as ESA WorldCover: its class of permanent water, and the cover of a scene.",
}

external_assets = [
    AssetSpec(
        name,
        description=description,
        group_name="inference",
        kinds={"geotiff"},
        **asset_facts(name, "data", section="External assets"),
    )
    for name, description in _LAYERS.items()
]
EXTERNAL_NAMES = tuple(_LAYERS)
