"""Which layer a name or a band's description says: an angle, a mask, a label and so on, that is not backscatter.

Only words are read, no pixel and no file. `scene_groups` applies this to files, `bands` to the bands of a file.

Known names: ASF HyP3 RTC and HydroSAR (`_dem`, `_inc_map`, `_area`, `_ls_map`, `_rgb`, `_WM`), OPERA RTC-S1 and its
static layers (`_mask`, `_local_incidence_angle`, `_number_of_looks`, `_rtc_anf_gamma0_to_sigma0`), SNAP and pyroSAR
(`localIncidenceAngle`, `layoverShadowMask`, `gammaSigmaRatio`, `coh_VV_...`), S1-NRB (`-dm`, `-li`), Earth Engine
(`angle`), Sentinel Hub (`RGB_ratio`), Sen1Floods11 (`_LabelHand`) and the simulator of this program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple, get_args

Layer = Literal[
    "incidence angle",
    "layover-shadow mask",
    "elevation",
    "terrain",
    "coherence",
    "interferogram",
    "mask",
    "label",
    "probability",
    "area normalisation",
    "number of looks",
    "noise",
    "land cover",
    "water",
    "position",
    "picture",
    "optical image",
    "ratio",
    "change",
    "static layer",
]
LAYERS: Final[tuple[Layer, ...]] = get_args(Layer)

# A new word begins after a separator and, as in `localIncidenceAngle`, at a capital letter.
_BORDER = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_POLARISATIONS: Final = frozenset({"vv", "vh", "hh", "hv"})
# Words that say nothing about the layer: how the raster was processed, what a user did with it, or its number.
_PLAIN = re.compile(
    r"geo|tc|rtc|norm|db|deg|degrees?|m|metres?|meters?|map|layer|band|\d+"
    r"|clip(?:ped)?|crop(?:ped)?|subset|reprojected|resampled|utm\d*[ns]?|copy"
)
# "corrected with dem", "use_inci_angle_from_ellipsoid": the layer was used, and the values are something else.
_USED: Final = frozenset({"by", "for", "from", "of", "on", "to", "use", "using", "with", "without", "no"})

# Words that can only be these layers. One pattern per layer, on lower-case words joined by "_".
_CLEAR_WORDS: Final[dict[Layer, str]] = {
    "incidence angle": r"(?:projected_)?(?:local_)?inci(?:dence)?_angle(?:_from_(?:ellipsoid|dem))?|inc_map(?:_ell)?"
    r"|(?:ellipsoid_)?incidence|angle|lia|lv_(?:theta|phi)|look_direction",
    "layover-shadow mask": r"ls_?map|lsm|layover(?:_and)?_shadow(?:_mask)?|layover(?:_mask)?|shadow_mask",
    "elevation": r"(?:interpolated_|copernicus_)?(?:dem|dsm|dtm)|(?:nasa|cop|alos|fab)dem|srtm|elevation|dem_seg",
    "coherence": r"coherence|coh",
    "interferogram": r"(?:unw|unwrapped|wrapped)_phase|(?:los|vert)_disp(?:lacement)?",
    "mask": r"(?:(?:data|valid|nodata|water|land|sea|flood|cloud|burst)_)?mask|datamask",
    "label": r"labels?(?:_hand|_weak)?|ground_truth",
    "probability": r"proba|probability|probabilities",
    "area normalisation": r"rtc_anf(?:_\w+)?|scattering_area|(?:gamma_sigma|sigma_gamma)_ratio"
    r"|gamma0_to_(?:beta0|sigma0)(?:_ratio)?|pix_area(?:_(?:beta|gamma|sigma)0)?",
    "number of looks": r"number_of_looks|n_?looks",
    "noise": r"ne[bgs]z",
    "land cover": r"land_?cover|(?:esa_)?world_?cover|lulc",
    "water": r"(?:permanent|reference|seasonal)_water|jrc_water(?:_hand)?"
    r"|jrc_(?:gsw_)?(?:change|extent|occurrence|recurrence|seasonality|transitions)",
    "position": r"latitude|longitude",
    "picture": r"rgb(?:_decomp|_ratio)?|browse|thumbnail|quick_?look|enhanced_visualization(?:_\w+)?|sar_urban",
    "optical image": r"s2_?(?:hand|weak)",
}
# Words that are layers of a known product, or beside a scene of the same name; else they may be part of any name.
_UNCLEAR_WORDS: Final[dict[Layer, str]] = {
    "incidence angle": r"inc|theta",
    "elevation": r"hand",
    "terrain": r"slope|aspect",
    "layover-shadow mask": r"shadow",
    "coherence": r"corr",
    "interferogram": r"phase",
    "area normalisation": r"area",
    "number of looks": r"looks",
    "water": r"water|wm|fm",
    "label": r"truth|qc",
    "probability": r"prob",
    "picture": r"preview|overview",
    "ratio": r"ratio",
    "change": r"change|difference|diff",
    "static layer": r"static",
}
# The two letters of the annotation files of S1-NRB.
_NRB_WORDS: Final[dict[Layer, str]] = {
    "mask": r"dm|em|id",
    "incidence angle": r"ei|li|ld",
    "area normalisation": r"gs|sg|lc",
    "noise": r"np",
    "water": r"wm",
}
# The interferograms of HyP3. Elsewhere `amp` may be the amplitude of a scene.
_INSAR_WORDS: Final[dict[Layer, str]] = {"coherence": r"corr", "interferogram": r"amp|conncomp"}
_RATIO: Final = frozenset({"ratio", "logratio", "quotient"})
_CHANGE: Final = frozenset({"change", "changes", "difference", "diff"})
_BETWEEN: Final[dict[str, Layer]] = {"div": "ratio", "over": "ratio", "minus": "change"}
_IN_COMPARED: Final = _RATIO | _CHANGE | _POLARISATIONS | {*_BETWEEN, "rgb"}
# At the beginning of a file's name only these are taken, because most other words may begin the name of a place.
_AT_START: Final = frozenset({"coherence", "incidence angle", "elevation", "area normalisation", "land cover"})
# Layers that exist once per polarisation, so that `_VV` may follow their name.
_PER_POLARISATION: Final = frozenset({"coherence", "area normalisation", "noise", "probability"})

_HYP3 = re.compile(r"S1[A-D]_[A-Z0-9]{2}_\d{8}T\d{6}_[SD][VH][A-Z]_RTC\d{2}_[A-Z]_[gs][pda][a-z]{4}_[0-9A-F]{4}", re.I)
_HYP3_INSAR = re.compile(r"^S1[A-D]{2}_\d{8}T\d{6}_\d{8}T\d{6}_[VH]{2}[PRO]\d{3}_INT\d{2}_", re.I)
_OPERA = re.compile(r"^OPERA_L\d_RTC-S1", re.I)
_OPERA_STATIC = re.compile(r"^OPERA_L\d_RTC-S1-STATIC", re.I)
_PYROSAR = re.compile(r"^S1[A-D]__[A-Z0-9]{2}_+[AD]_\d{8}T\d{6}", re.I)
_AFRICA = re.compile(r"^s1_rtc_", re.I)
_ARD = re.compile(r"^s1[a-d]-[a-z0-9]{2}-(?:nrb|orb|ard)-", re.I)


@dataclass(frozen=True, slots=True)
class NamedLayer:
    """The layer that a name says.

    Args:
        layer: The layer.
        rest: The name without the words of the layer.
        clear: Whether the name alone is enough. Otherwise the file is a layer only beside a scene with the name `rest`,
            or beside the one VV or VH file of its folder if `rest` is empty.
    """

    layer: Layer
    rest: str
    clear: bool


class _Table(NamedTuple):
    """The patterns of some layers, for the end and for the beginning of a text."""

    end: re.Pattern[str]
    start: re.Pattern[str]


def _words(text: str) -> list[tuple[str, int]]:
    """Return the words of a text in lower case, each with its position."""
    found, start = [], 0
    for border in _BORDER.finditer(text):
        if border.start() > start:
            found.append((text[start : border.start()].lower(), start))
        start = border.end()
    return [*found, (text[start:].lower(), start)] if start < len(text) else found


def _compiled(patterns: Mapping[Layer, str]) -> _Table:
    """Return the patterns of all layers as one for the end of a text and one for its beginning."""
    parts = "|".join(f"(?P<l{LAYERS.index(layer)}>{pattern})" for layer, pattern in patterns.items())
    return _Table(re.compile(rf"(?<![^_])(?:{parts})$"), re.compile(rf"(?:{parts})(?![^_])"))


def _match(words: Sequence[str], table: _Table, *, start: bool = False) -> tuple[Layer, int] | None:
    """Return the layer that the last words say, or the first ones, and the number of these words."""
    text = "_".join(words)
    found = table.start.match(text) if start else table.end.search(text)  # a search finds the longest end
    if found is None or not words:
        return None
    count = found[0].count("_") + 1
    if not start and len(words) > count and words[-count - 1] in _USED:
        return None
    return LAYERS[int(str(found.lastgroup)[1:])], count


_CLEAR: Final = _compiled(_CLEAR_WORDS)
_UNCLEAR: Final = _compiled(_UNCLEAR_WORDS)
_NRB: Final = _compiled(_NRB_WORDS)
_INSAR: Final = _compiled(_INSAR_WORDS)


def _compared(words: Sequence[str]) -> Layer | None:
    """Return `ratio` or `change` if such a word is last or beside a polarisation, as in `VV_VH_ratio`."""
    if not _POLARISATIONS & set(words):
        return None
    for place, word in enumerate(words):
        before, after = set(words[max(0, place - 1) : place]), set(words[place + 1 : place + 2])
        if word in _BETWEEN and before & _POLARISATIONS and after & _POLARISATIONS:
            return _BETWEEN[word]
        if word in _RATIO | _CHANGE and ((before | after) & _POLARISATIONS or place == len(words) - 1):
            return "ratio" if word in _RATIO else "change"
    return None


def _before(stem: str, words: Sequence[tuple[str, int]], count: int) -> str:
    """Return the part of a name before its word of this number."""
    return stem[: words[count][1]].rstrip("_-. +&")


def _known_product(stem: str) -> _Table | None:
    """Return the unclear words that are layers in the product with this name; None when it is not a known product."""
    if _ARD.search(stem):
        return _NRB
    if _HYP3_INSAR.search(stem):
        return _INSAR
    return _UNCLEAR if any(pattern.search(stem) for pattern in (_HYP3, _OPERA, _PYROSAR, _AFRICA)) else None


@lru_cache(maxsize=1 << 16)  # the sensor asks for every file at every tick
def layer_of_name(stem: str) -> NamedLayer | None:
    """Return the layer that a file's name says, or None for a name that may be that of a scene.

    Args:
        stem: The file's name without folder and extension.
    """
    stem = re.sub(r"\s*\(\d+\)$", "", stem)  # the second download of a file
    words = _words(stem)
    texts = [word for word, _ in words]
    if (compared := _compared(texts)) is not None:
        kept = len(words)
        while kept and texts[kept - 1] in _IN_COMPARED:
            kept -= 1
        return NamedLayer(compared, stem if kept == len(words) else _before(stem, words, kept), True)
    while texts and _PLAIN.fullmatch(texts[-1]) and not _match(texts, _CLEAR):
        texts.pop()
    bare = list(texts)
    while bare and bare[-1] in _POLARISATIONS:
        bare.pop()
    known = _known_product(stem)
    for patterns, clear in ((_CLEAR, True), (known or _UNCLEAR, known is not None)):
        for number, part in enumerate((texts, bare)):
            found = _match(part, patterns)
            if found is None or (number and found[0] not in _PER_POLARISATION and found[1] < 2):
                continue
            return NamedLayer(found[0], _before(stem, words, len(part) - found[1]), clear)
    if (found := _match(texts, _CLEAR, start=True)) is not None and found[0] in _AT_START and texts[0] != "angle":
        return NamedLayer(found[0], stem[words[found[1]][1] :] if found[1] < len(words) else "", True)
    return NamedLayer("static layer", stem, True) if _OPERA_STATIC.search(stem) else None


def layer_of_band(description: str) -> Layer | None:
    """Return the layer that a band's description says, or None when it may be backscatter.

    `angle` and `coh_VV_05Jan2021` are layers, `Sigma0_VV_use_inci_angle_from_ellipsoid` is backscatter. Two
    polarisations in one description, as in `VV/VH`, are a ratio.
    """
    texts = [word for word, _ in _words(description)]
    polarised = [word for word in texts if word in _POLARISATIONS]
    if len(set(polarised)) > 1:
        return "ratio"
    if (compared := _compared(texts)) is not None:
        return compared
    bare = [word for word in texts if word not in _POLARISATIONS]
    plain = [word for word in bare if not _PLAIN.fullmatch(word)]
    for words in (bare, plain):
        for start in (True, False):
            if (found := _match(words, _CLEAR, start=start)) is not None:
                return found[0]
    found = None if polarised else _match(plain, _UNCLEAR)
    return found[0] if found is not None and found[1] == len(plain) else None
