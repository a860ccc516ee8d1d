"""How long one new scene may take before its run is ended: a pure function of the size of its files."""

from resources.run_limits import LONGEST_SCENE

# A full scene (26,000 x 16,700 pixels, VV and VH) takes three to five minutes on two cores that multiply in bf16. It is
# 0.4 GB as compressed digital numbers and 3.5 GB as 32-bit floats, so this allows it 55 minutes to 4.4 hours: enough
# for a machine ten times slower, and a run that hangs is found on the same day.
BASE_SECONDS = 30 * 60
SECONDS_PER_MEGABYTE = 4


def scene_deadline(size: int) -> int:
    """Seconds that the run of one scene may take.

    Args:
        size: Bytes of all its files.
    """
    return min(BASE_SECONDS + SECONDS_PER_MEGABYTE * size // 1_000_000, LONGEST_SCENE)
