# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first flood map
#
# This notebook maps a simulated Sentinel-1 scene, so it runs without a network and without data. With your own scene,
# begin at *A map in three lines* and give the path of your file.
#
# Open it in Jupyter with jupytext, or convert it: `jupytext --to notebook docs/notebooks/first_map.py`.

# %% [markdown]
# ## Two scenes
#
# One scene shows a flood, the other one shows the same place before it. The dates are in the names of the files.

# %%
import tempfile
from pathlib import Path

from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene

folder = Path(tempfile.mkdtemp())
scene = write_scene(folder, "S1_20210111T053000", simulate_scene(7, 512, 512, flood_share=0.2))
before = (folder / "S1_20210111T053000_pre_event.tif").rename(folder / "S1_20201230T053000.tif")

# %% [markdown]
# ## A map in three lines
#
# `segment` returns an xarray Dataset. Without a scene from before the flood, *flooded* means open water of any kind.

# %%
from drshym_pipeline import segment

water = segment(scene)
print(water.attrs["caption"])

# %%
water

# %% [markdown]
# ## Flood separated from other water
#
# With a scene from before the flood, water that was there before has a state of its own (mask value 2). A model that is
# loaded once can map many scenes.

# %%
from drshym_pipeline import load_model

model = load_model()
flood = segment(scene, before, model=model)
print("flood:", flood.attrs["flooded_text"])
print("water that was there before:", flood.attrs["other_water_text"])

# %% [markdown]
# ## A picture
#
# Blue is flood, light green is water that was there before, grey is the radar image.

# %%
import matplotlib.pyplot as plt
import rioxarray
from matplotlib.colors import ListedColormap

radar = rioxarray.open_rasterio(scene, masked=True).sel(band=1)
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
radar.plot(ax=left, cmap="gray", vmin=-25, vmax=0, add_colorbar=False)
wet = flood.mask.where(flood.mask.isin([1, 2]))
wet.plot(ax=left, cmap=ListedColormap(["#006eff", "#78e6dc"]), vmin=1, vmax=2, alpha=0.7, add_colorbar=False)
left.set_title("flood (blue) and other water")
flood.probability.plot(ax=right, cmap="Blues", vmin=0, vmax=1)
right.set_title("probability of water")
for axes in (left, right):
    axes.set_aspect("equal")
plt.show()

# %% [markdown]
# ## Areas with their intervals
#
# The mapped area is a count of pixels. The interval is that of the true area, and it need not contain the mapped one.

# %%
for name in ("flooded", "other_water", "water"):
    low, high = (flood.attrs[f"{name}_{end}_km2"] for end in ("low", "high"))
    level = flood.attrs[f"{name}_level"]
    print(f"{name}: {flood.attrs[f'{name}_km2']:.2f} km2 mapped, {level:.0%} interval {low:.2f} to {high:.2f} km2")

# %% [markdown]
# The warnings say what the map cannot show. Pass them on with the map.

# %%
for warning in flood.attrs["warnings"]:
    print("-", warning)

# %% [markdown]
# ## Compute with the map
#
# Map and scene have the same coordinates, so xarray computes with both: here the mean backscatter of each state.

# %%
states = dict(zip(flood.mask.attrs["flag_meanings"].split(), flood.mask.attrs["flag_values"], strict=True))
for name in ("dry", "flooded", "permanent"):
    print(f"{name}: {float(radar.where(flood.mask == states[name]).mean()):.1f} dB in VV")

# %% [markdown]
# ## Another threshold
#
# A lower threshold shows more water. Its area has no interval of the model, which was fitted for its own threshold.

# %%
wide = segment(scene, before, model=model, threshold=0.2)
print(wide.attrs["flooded_text"])

# %% [markdown]
# ## Save it
#
# `to_raster` writes GeoTIFFs that QGIS opens. `map_scene` writes all products of a map instead: polygons in GeoJSON,
# pictures, the report page and the record.

# %%
flood.mask.rio.to_raster(folder / "flood_mask.tif")
flood.probability.rio.to_raster(folder / "flood_probability.tif", compress="deflate")
saved = rioxarray.open_rasterio(folder / "flood_mask.tif")
print(saved.rio.crs, saved.shape, "not observed:", saved.rio.nodata)

# %%
import shutil

shutil.rmtree(folder)
