"""What can be wrong with a request for a tile, a picture or a point."""

from __future__ import annotations

from drshym_pipeline.errors import DrShymError, InputError


class UnknownLayerError(InputError):
    """The scene has no such layer."""


class NoWebMapError(InputError):
    """A web map cannot show the grid of the scene."""


class TileAddressError(InputError):
    """There is no tile with these numbers."""


class PointOutsideError(InputError):
    """A point is outside the grid of the scene, or is not given completely."""


class TileServerError(DrShymError):
    """No process could answer in time. This is a fault of the service or of the machine, not of the request."""
