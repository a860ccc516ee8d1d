"""What the header of one file says about its bands; no pixel is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Units
from drshym_pipeline.sar.file_names import named_polarisations, names_radar, parse_name, units_of
from drshym_pipeline.sar.layers import Layer, layer_of_band
from drshym_pipeline.sar.named_times import Moment, named_moment
from drshym_pipeline.sar.raster_band import data_bands

_SHOWN = 8  # bands that are named in a message
# Tags in which programs write the name of a band that has no description.
_NAME_TAGS = ("name", "band_name", "bandname", "description", "long_name", "standard_name")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the header of one file says about its bands.

    Args:
        path: The file.
        bands: The numbers of its bands, without alpha.
        dtype: The data type of the stored numbers.
        scaled: Whether a scale or an offset turns the stored numbers into values.
        nodata: The nodata tag, a stored number.
        names: One entry per band: its description, empty when there is none.
        layers: One entry per band: the layer that its description says, None when it may be backscatter.
        described: One entry per band: the polarisation in its description or tags, None when there is none or the band
            is a layer.
        moments: One entry per band: the date or the words `before` and `after` in its description, None if there are
            none.
        units_hint: The units that a description, a tag or the name states.
        named: Whether the name, a description or a tag says that the file is Sentinel-1 or names a polarisation.
    """

    path: Path
    bands: tuple[int, ...]
    dtype: str
    scaled: bool
    nodata: float | None
    names: tuple[str, ...]
    layers: tuple[Layer | None, ...]
    described: tuple[str | None, ...]
    moments: tuple[Moment | None, ...]
    units_hint: Units | None
    named: bool

    @property
    def count(self) -> int:
        """Return the number of bands without alpha."""
        return len(self.bands)

    @property
    def candidates(self) -> tuple[int, ...]:
        """Return the numbers of the bands that may be backscatter."""
        return tuple(band for band, layer in zip(self.bands, self.layers, strict=True) if layer is None)

    def shown(self, bands: Sequence[int]) -> str:
        """Return the numbers and names of bands, for a message."""
        texts = [f"{band} ({self.names[self.bands.index(band)] or 'no name'})" for band in bands[:_SHOWN]]
        return ", ".join(texts) + (f" and {len(bands) - _SHOWN} more" if len(bands) > _SHOWN else "")


def file_facts(dataset: Any, path: Path, chosen: Sequence[int] = ()) -> FileFacts:
    """Read the header of an open dataset.

    Args:
        dataset: The open reader of rasterio.
        path: The file to name in an error.
        chosen: The bands that will be read, if they are known: the units are those that these bands state.

    Raises:
        InputError: The values are complex, or there is no band but alpha.
    """
    dtype = str(dataset.dtypes[0])
    if "complex" in dtype:
        raise InputError(path, f"complex values ({dtype}): a single-look complex SLC", "Use a GRD or RTC product")
    bands = data_bands(dataset)
    if not bands:
        raise InputError(path, "its only band is alpha", "Give a GeoTIFF with Sentinel-1 backscatter")
    names = tuple(_band_name(dataset, band) for band in bands)
    layers = tuple(layer_of_band(name) if name else None for name in names)
    described: list[str | None] = []
    texts: list[str] = []
    for band, name, layer in zip(bands, names, layers, strict=True):
        text = " ".join([name, *map(str, dataset.tags(band).values())])
        described.append(None if layer is not None else _one(name) or _one(text))
        if band in chosen or (not chosen and layer is None):
            texts.extend((text, str(dataset.units[band - 1] or "")))
    if len(bands) == 1 and described == [None] and layers == (None,):
        tags = {key.lower(): str(value) for key, value in dataset.tags().items()}
        described = [_one(tags.get("polarisation", tags.get("polarization", "")))]
    stated = {units for text in texts if (units := units_of(text)) is not None}
    return FileFacts(
        path=path,
        bands=bands,
        dtype=dtype,
        scaled=any((dataset.scales[band - 1], dataset.offsets[band - 1]) != (1.0, 0.0) for band in bands),
        nodata=None if dataset.nodata is None else float(dataset.nodata),
        names=names,
        layers=layers,
        described=tuple(described),
        moments=tuple(map(named_moment, names)),
        units_hint=stated.pop() if len(stated) == 1 else parse_name(path.name).units,
        named=any(found is not None for found in described) or any(map(names_radar, (path.name, *texts))),
    )


def _band_name(dataset: Any, band: int) -> str:
    """Return the description of a band, or the tag that programs use instead of one; empty when there is none."""
    if description := dataset.descriptions[band - 1]:
        return str(description)
    tags = {key.lower(): str(value) for key, value in dataset.tags(band).items()}
    return next((tags[key] for key in _NAME_TAGS if tags.get(key)), "")


def _one(text: str) -> str | None:
    """Return the polarisation in a text, None when it names none or several."""
    found = set(named_polarisations(text))
    return found.pop() if len(found) == 1 else None
