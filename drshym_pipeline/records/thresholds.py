"""The sentences about a map whose threshold was chosen by the user."""

from __future__ import annotations


def threshold_reason(threshold: float, model_threshold: float) -> str:
    """Return why the interval of the model does not hold, as a clause.

    Args:
        threshold: The threshold of the map.
        model_threshold: The model's own threshold.
    """
    return f"the model's interval was fitted for its own threshold of {model_threshold:g}, not for {threshold:g}"


def threshold_text(threshold: float, model_threshold: float | None) -> str:
    """Return the threshold of a map, such as `0.3 (chosen by the user; the model has 0.45)`.

    Args:
        threshold: The threshold of the map.
        model_threshold: The model's own threshold where the user chose another one; None where the map has it.
    """
    chosen = "" if model_threshold is None else f" (chosen by the user; the model has {model_threshold:g})"
    return f"{threshold:g}{chosen}"


def threshold_note(threshold: float, model_threshold: float | None, *, has_area: bool) -> str | None:
    """Return the sentence for readers of a map with a chosen threshold; None where the map has the model's own.

    Args:
        threshold: The threshold of the map.
        model_threshold: The model's own threshold where the user chose another one.
        has_area: Whether the map states an area.
    """
    if model_threshold is None:
        return None
    chosen = f"The threshold {threshold:g} was chosen by the user; the model has {model_threshold:g}"
    if not has_area:
        return f"{chosen}."
    return (
        f"{chosen}. The interval of the area is therefore 0 to the whole observed area, because the model's interval "
        "was fitted for its own threshold, and so were the scores on its card."
    )
