"""The longest time of a scene depends on its size."""

from sensors.deadline import scene_deadline


def test_a_small_scene_may_take_half_an_hour_and_a_full_scene_hours():
    assert scene_deadline(0) == 1800
    assert scene_deadline(1_000_000) == 1804
    assert scene_deadline(400_000_000) == 1800 + 1600  # a full scene of compressed digital numbers
    assert scene_deadline(3_500_000_000) == 1800 + 14_000  # the same as 32-bit floats


def test_no_single_scene_may_take_longer_than_half_a_day():
    assert scene_deadline(10**12) == 12 * 3600
