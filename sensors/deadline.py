"""The longest time that the run of one new scene may take; it depends on the size of the files."""

from resources.run_limits import LONGEST_SCENE

# A full scene (26,000 x 16,700 pixels, VV and VH) takes three to five minutes on two cores with bf16 hardware. Its size
# is 0.4 GB as compressed digital numbers and 3.5 GB as 32-bit floats. So these values allow 55 minutes to 4.4 hours:
# enough for a machine that is ten times slower, and a run that hangs is ended on the same day.
BASE_SECONDS = 30 * 60
SECONDS_PER_MEGABYTE = 4


def scene_deadline(size: int) -> int:
    """Return the longest time that the run of one scene may take, in seconds.

    Args:
        size: Size of all files of the scene, in bytes.
    """
    return min(BASE_SECONDS + SECONDS_PER_MEGABYTE * size // 1_000_000, LONGEST_SCENE)
