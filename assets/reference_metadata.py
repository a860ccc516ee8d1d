"""What a map was compared with, for the metadata of its materialisation."""

from typing import Any

from assets.metadata import table
from drshym_pipeline.records import ReferenceSources, SceneMeta, StitchSummary


def reference_metadata(summary: StitchSummary, meta: SceneMeta, no_reference: str) -> dict[str, Any]:
    """Return what a map was compared with: the scenes with their dates and hashes, and what was left out.

    Args:
        summary: The figures of the map.
        meta: The scene of the map.
        no_reference: Why no reference was planned for the map, as a clause; empty if one was.
    """
    from drshym_pipeline.products.reference_texts import reference_text

    separation = summary.separation
    if separation is None:
        note = summary.reference_note
        reason = no_reference or ("" if note is None else note.reason)
        return {"compared with": f"nothing: {reason}" if reason else "nothing"}
    found: dict[str, Any] = {
        "compared with": reference_text(separation, meta),
        "reference scenes": table(reference_rows(separation)),
    }
    if separation.maps_left_out:
        found["earlier maps left out"] = table(
            [{"scene": left.scene_id, "reason": left.reason} for left in separation.maps_left_out]
        )
    return found


def reference_rows(sources: ReferenceSources) -> list[dict[str, str]]:
    """Return one row for each scene or layer of a reference: what it is, its name, its date and a hash."""
    rows = []
    if (before := sources.pre_event) is not None:
        date = "" if before.acquired_at is None else before.acquired_at.isoformat()
        rows.append({"kind": "pre-event scene", "name": before.scene_id, "date": date, "sha256": before.source_sha256})
    if (earlier := sources.earlier_maps) is not None:
        rows += [
            {
                "kind": "earlier map",
                "name": f"{used.scene_id} {used.map_version}".rstrip(),
                "date": used.acquired_at.isoformat(),
                "sha256": used.proba_sha256,
            }
            for used in earlier.maps
        ]
    return rows + [
        {"kind": "layer", "name": f"{layer.name} {tile.uri}", "date": "", "sha256": tile.sha256}
        for layer in sources.layers
        for tile in layer.tiles
    ]
