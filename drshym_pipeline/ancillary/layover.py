"""The map of layover and radar shadow that a product brings for its own acquisition.

HyP3 RTC (`_ls_map.tif`) adds bits: 1 tested, 2 and 8 angles, 4 in layover, 16 in shadow; 0 is not tested. OPERA RTC-S1
(`_mask.tif`) has 0 for neither, 1 for shadow, 2 for layover, 3 for both, 255 for no value. The guides of both products
have these tables (hyp3-docs.asf.alaska.edu).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import reproject

from drshym_pipeline.ancillary.blocks import Block
from drshym_pipeline.ancillary.folder import tile_record
from drshym_pipeline.ancillary.tile_files import DOWNLOAD
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import TerrainLayer
from drshym_pipeline.sar.layers import Layer
from drshym_pipeline.sar.safe_open import open_raster, open_scene_file
from drshym_pipeline.sar.scene_files import is_scene_name
from drshym_pipeline.sar.scene_groups import Companion, group_files
from drshym_pipeline.states import EXCLUSION_REASONS, EXCLUSION_UNKNOWN, NO_EXCLUSION

_OUTSIDE: Final = 255
_LAYOVER, _SHADOW = EXCLUSION_REASONS["layover"], EXCLUSION_REASONS["shadow"]
_HYP3 = re.compile(r"^S1[A-D]_[A-Z0-9]{2}_\d{8}T\d{6}_[SD][VH][A-Z]_RTC\d{2}_", re.IGNORECASE)
_OPERA = re.compile(r"^OPERA_L2_RTC-S1_", re.IGNORECASE)
_NOT_USED: Final = "Layover and shadow were not used"


def _hyp3_table() -> NDArray[np.uint8]:
    """Return the reasons for every value of HyP3."""
    values = np.arange(256)
    reasons = np.where(values & 4, _LAYOVER, 0) | np.where(values & 16, _SHADOW, 0)
    reasons[(values == 0) | (values > 31)] = EXCLUSION_UNKNOWN
    return reasons.astype(np.uint8)


def _opera_table() -> NDArray[np.uint8]:
    """Return the reasons for every value of OPERA."""
    reasons = np.full(256, EXCLUSION_UNKNOWN, np.uint8)
    reasons[:4] = (NO_EXCLUSION, _SHADOW, _LAYOVER, _LAYOVER | _SHADOW)
    return reasons


@dataclass(frozen=True)
class LayoverMap:
    """A map of layover and shadow in a file beside a scene.

    Args:
        path: The file.
        product: The name of the product, for readers.
        table: (256,) the reasons for exclusion by the value in the file.
    """

    path: Path
    product: str
    table: NDArray[np.uint8]
    _faults: list[str] = field(default_factory=list, init=False)

    @classmethod
    def beside(cls, sources: Sequence[Path]) -> tuple[LayoverMap | None, tuple[str, ...]]:
        """Return the map that belongs to a scene, and what a reader must know if there is one that cannot be used.

        Args:
            sources: The files of the scene.
        """
        if not sources or not sources[0].is_file():
            return None, ()
        folder = sources[0].absolute().parent
        names = sorted(path.name for path in folder.iterdir() if is_scene_name(path.name))
        groups, _ = group_files(names)
        mine = {source.name for source in sources}
        companions = [companion for group in groups if mine & set(group.ordered) for companion in group.companions]
        for name in _layover_names(companions):
            if _HYP3.match(name):
                return cls(folder / name, "HyP3 RTC", _hyp3_table()), ()
            if _OPERA.match(name):
                return cls(folder / name, "OPERA RTC-S1", _opera_table()), ()
            return None, (f"{_NOT_USED}: the values of {folder / name} are not those of HyP3 or OPERA.",)
        return None, ()

    @property
    def sha256(self) -> str:
        """The hash of the file."""
        return tile_record(self.path).sha256

    def read(self, block: Block) -> NDArray[np.uint8]:
        """Return the reasons on a block: the values of `states.EXCLUSION_REASONS` added, 255 where not known."""
        shape = block.window.height, block.window.width
        out = np.full(shape, _OUTSIDE, np.uint8)
        if self._faults:
            return np.full(shape, EXCLUSION_UNKNOWN, np.uint8)
        try:
            with open_scene_file(self.path) as header:
                if header.crs is None or header.dtypes[0] != "uint8":
                    raise InputError(self.path, "is not a georeferenced raster of uint8", DOWNLOAD)
            with open_raster(self.path) as source:
                reproject(
                    rasterio.band(source, 1),
                    out,
                    dst_transform=block.affine,
                    dst_crs=block.grid.crs,
                    resampling=Resampling.nearest,
                    init_dest_nodata=False,
                )
        except InputError as error:
            self._faults.append(f"{_NOT_USED}: {InputError(error.subject, error.problem, DOWNLOAD)}")
            return np.full(shape, EXCLUSION_UNKNOWN, np.uint8)
        found: NDArray[np.uint8] = self.table[out]
        return found

    def warnings(self, *, known: bool) -> tuple[str, ...]:
        """Return what is wrong with the file, as sentences.

        Args:
            known: Whether the file has a value for a pixel of the map.
        """
        if not self._faults and not known:
            return (f"{_NOT_USED}: {self.path} has no value for a pixel of this scene.",)
        return tuple(self._faults)

    def record(self, *, known: bool) -> TerrainLayer:
        """Return the record of the layer, without the file where it has no value; `known` as in `warnings`."""
        tiles = (tile_record(self.path),) if known and not self._faults else ()
        return TerrainLayer(name="layover_shadow", title=f"layover and shadow of {self.product}", tiles=tiles)


def _layover_names(companions: Iterable[Companion]) -> list[str]:
    """Return the names of the companions that are maps of layover and shadow."""
    return [companion.key for companion in companions if is_layover_name(companion.layer, companion.key)]


def is_layover_name(layer: Layer, name: str) -> bool:
    """Return whether a companion of a scene is a map of layover and shadow.

    Args:
        layer: What it contains, as its name says.
        name: The name of the file, without folder.
    """
    return layer == "layover-shadow mask" or (layer == "mask" and _OPERA.match(name) is not None)
