"""What is said about the reference of a map: where the probability of water before comes from."""

from __future__ import annotations

from collections.abc import Sequence

from drshym_pipeline.records import (
    EarlierMaps,
    LayerTile,
    MapRecord,
    PreEventScene,
    ReferenceSources,
    SceneMeta,
    counted,
)
from drshym_pipeline.references.pre_event import scene_label
from drshym_pipeline.sar.named_times import acquired_text


def reference_text(sources: ReferenceSources, scene: SceneMeta | MapRecord, *, briefly: bool = False) -> str:
    """Return what the water of a map was compared with, as the words after "compared with".

    Args:
        sources: Where the probability of water before comes from.
        scene: The scene of the map.
        briefly: Name a dated scene by its date alone, and no single layer.
    """
    texts = []
    if sources.pre_event is not None:
        texts.append(_scene_text(sources.pre_event, scene, briefly=briefly))
    if sources.earlier_maps is not None:
        texts.append(_earlier_text(sources.earlier_maps))
    layers = [layer for layer in sources.layers if layer.tiles]
    # The layers of a scene without an observed pixel know none of its pixels.
    used = [layer.title for layer in layers if layer.known_pixels] or [layer.title for layer in layers if not texts]
    if used and briefly:
        texts.append("long-term maps of water")
    elif used:
        texts.append(used[0] if len(used) == 1 else f"{', '.join(used[:-1])} and {used[-1]}")
    first, *others = texts
    return f"{first}, and where it has no value with {' and '.join(others)}" if others else first


def _scene_text(before: PreEventScene, scene: SceneMeta | MapRecord, *, briefly: bool) -> str:
    when = f"of {acquired_text(before.acquired_at)}" if before.acquired_at else ""
    if briefly and when:
        return f"the scene {when}"
    return f"the scene {scene_label(before, scene)} {when}".rstrip()


def _earlier_text(earlier: EarlierMaps) -> str:
    days = sorted(map_.acquired_at for map_ in earlier.maps)
    if len(days) == 1:
        return f"the earlier map of {days[0]:%Y-%m-%d}"
    return f"the median of {len(days)} earlier maps from {days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}"


def reference_provenance(sources: ReferenceSources) -> list[tuple[str, str]]:
    """Return the rows of a provenance table, as names and values."""
    rows = []
    if (before := sources.pre_event) is not None:
        rows += [
            ("pre-event source", " ".join(before.source_uris)),
            ("pre-event SHA-256", before.source_sha256),
            ("pre-event bands", before.modality),
            *([] if before.pixel_spacing is None else [("pre-event pixels", before.pixel_spacing.text())]),
        ]
    if (earlier := sources.earlier_maps) is not None:
        rows += [(f"earlier map {map_.scene_id}", f"map version {map_.map_version}") for map_ in earlier.maps]
    rows += [(f"earlier map {left.scene_id}", f"not used: {left.reason}") for left in sources.maps_left_out]
    return rows + [
        (f"layer {layer.name}", layer_text(layer.title, layer.tiles, layer.missing)) for layer in sources.layers
    ]


def layer_text(title: str, tiles: Sequence[LayerTile], missing: Sequence[str]) -> str:
    """Return a layer with its tiles, for a provenance table.

    Args:
        title: The name of the layer.
        tiles: The files that gave values.
        missing: The names of the tiles that were not found.
    """
    files = ", ".join(f"{tile.uri} (SHA-256 {tile.sha256})" for tile in tiles) or "no tile"
    absent = f"; {counted(len(missing), 'tile')} missing: {', '.join(missing)}" if missing else ""
    return f"{title}: {files}{absent}"


def reference_tags(sources: ReferenceSources) -> dict[str, str]:
    """Return the TIFF tags that name the sources of the probability of water before."""
    tags: dict[str, str] = {}
    if (scene := sources.pre_event) is not None:
        tags |= {
            "DRSHYM_PRE_EVENT": scene.scene_id,
            "DRSHYM_PRE_EVENT_SOURCE": " ".join(scene.source_uris),
            "DRSHYM_PRE_EVENT_SHA256": scene.source_sha256,
        }
        if scene.acquired_at is not None:
            tags["DRSHYM_PRE_EVENT_ACQUIRED_AT"] = scene.acquired_at.isoformat()
    if (earlier := sources.earlier_maps) is not None:
        tags["DRSHYM_EARLIER_MAPS"] = " ".join(f"{map_.scene_id}/{map_.map_version}" for map_ in earlier.maps)
    if sources.layers:
        tags["DRSHYM_REFERENCE_LAYERS"] = "; ".join(layer.title for layer in sources.layers)
    return tags
