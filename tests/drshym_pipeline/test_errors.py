"""The errors that users read."""

import pickle

import pytest

from drshym_pipeline.errors import InputError, one_line


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("no such file"), "no such file"),
        (ValueError("  checksum\ndoes not\t match. "), "checksum does not match."),
        (ValueError(), "ValueError"),
        (ValueError(" \n "), "ValueError"),
    ],
)
def test_a_message_becomes_one_line_without_space_at_its_ends(error: Exception, sentence: str):
    assert one_line(error) == sentence


@pytest.mark.parametrize("length", [10, 200, 4000])
def test_the_reason_after_a_path_of_any_length_is_kept(length: int):
    assert one_line(OSError(f"/{'a' * length}/mask.tif: No such file")).endswith("mask.tif: No such file")


def test_an_input_error_survives_pickling():
    error = InputError("scene.tif", "it is empty", "Download it again")
    assert str(pickle.loads(pickle.dumps(error))) == "scene.tif: it is empty. Download it again."
