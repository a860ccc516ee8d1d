"""The name of a scene, which is the beginning of its products' names, and its partition key in the watched folder.

A name is made of letters and digits of any script, `_`, `-` and `.`. Two different file names never give one name: if
a character had to be replaced, eight digits of a hash of the file's name follow. A partition key is made in the same
way, but it contains the subfolders and has no dots.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePath
from typing import Final

from drshym_pipeline.sar.file_names import pair_key

_LONGEST_NAME: Final = 120  # bytes; the names of the products begin with it and must fit any file system's 255 bytes
_LONGEST_GIVEN: Final = 200
_DIGITS: Final = 8
# Names that many scenes have, such as `iw-vv.rtc.tiff` of the Planetary Computer, `VV.tif`, `response.tiff`.
_SAYS_NOTHING = re.compile(r"(?:iw|ew|sm|vv|response|default)?(?:[._-]?rtc)?", re.IGNORECASE)
_MEASUREMENT_FOLDER: Final = "measurement"


def scene_stem(path: PurePath) -> str:
    """Return what the file name of a scene says about the scene: without extension and polarisation.

    If it says nothing, as `iw-vv.rtc.tiff`, the name of the folder is returned: that of the item in a catalogue.

    Args:
        path: One file of the scene.
    """
    return pair_key(telling_name(path))[0]


def telling_name(path: PurePath) -> str:
    """Return the name of a file, or that of its folder if the file's name says nothing about the scene.

    Args:
        path: One file of the scene.
    """
    if not _SAYS_NOTHING.fullmatch(pair_key(path.name)[0]):
        return path.name
    folders = [folder for folder in path.parent.parts if folder not in ("/", ".", "..", path.anchor)]
    if folders and folders[-1].lower() == _MEASUREMENT_FOLDER:
        folders.pop()
    return folders[-1] if folders else path.name


def is_scene_id(text: str) -> bool:
    """Return whether a text can be a scene's name, which is used in paths and partition keys."""
    if not text or len(text.encode("utf-8", "surrogateescape")) > _LONGEST_GIVEN:
        return False
    return _may_begin(text[0]) and all(_is_kept(character) for character in text)


def safe_file_stem(stem: str, longest: int) -> str:
    """Return a name for a file on this machine, without extension, for a name that a user has given.

    It has only the characters that a scene's name may have, and the words in it that say something stay separate. Two
    names may give one result, so the caller must not put two such files into one folder.

    Args:
        stem: The given name without its extension.
        longest: The most bytes of the result.
    """
    safe = _begun(_replaced(stem, "_")) or "scene"
    return safe.encode()[:longest].decode("utf-8", "ignore")


def scene_id(filenames: Sequence[str | PurePath]) -> str:
    """Return the name of the scene of these files. It depends on nothing else.

    Args:
        filenames: One file, or one file per polarisation; their folders count only if their names say nothing.
    """
    return _named(scene_stem(PurePath(filenames[0])))


def partition_key(stem: str, name: str, taken: Collection[str]) -> str:
    """Return a name for a scene of a watched folder that is different from every name in `taken`.

    Unlike a `scene_id` it includes the folder and has no dots: Dagster forbids "..." in its keys, and a key must not
    look like a name with an extension.

    Args:
        stem: The scene's path without extension and polarisation, such as `rome/S1_scene`.
        name: A text that is unique for the scene.
        taken: The names of other scenes.
    """
    safe = _begun(_replaced(stem, "-", kept="_-").strip("-")) or "scene"
    if len(safe.encode()) <= _LONGEST_NAME and safe not in taken:
        return safe
    return next(key for key in _with_digest(safe, name) if key not in taken)


def unique_names(scenes: Sequence[tuple[PurePath, str]]) -> list[str]:
    """Return a name for each of the scenes of one call, all different.

    A scene has the name that it would have alone, unless two scenes of the call would have it. Then the one file that
    has exactly this name keeps it. The others get the name of their folder before it, if the scenes of the call are in
    several folders, or else a hash after it. The result does not depend on the order.

    Args:
        scenes: For each scene, the path of its first file, and a text that is unique for the scene.
    """
    names: dict[int, str] = {}
    folders = len({path.parent for path, _ in scenes}) > 1
    candidates = [_candidates(path, text, folders) for path, text in scenes]
    while len(names) < len(scenes):
        offers = {place: next(candidates[place]) for place in range(len(scenes)) if place not in names}
        counts = Counter(offers.values())
        whole = Counter(offer for place, offer in offers.items() if scenes[place][0].stem == offer)
        taken = set(names.values())
        for place, offer in offers.items():
            keeps = whole[offer] == 1 and scenes[place][0].stem == offer
            if offer not in taken and (counts[offer] == 1 or keeps):
                names[place] = offer
    return [names[place] for place in range(len(scenes))]


def _candidates(path: PurePath, text: str, folders: bool) -> Iterator[str]:
    """Yield names for a scene, the best one first and without end; with the folder if there are several `folders`."""
    stem = scene_stem(path)
    yield _named(stem)
    folder = path.parent.name
    if folders and folder and folder != stem:
        yield _named(f"{folder}-{stem}")
    own = _begun(_replaced(stem, "_")) or "scene"
    yield next(_with_digest(own, PurePath(text).name))
    yield from _with_digest(own, text)


def _named(stem: str) -> str:
    """Return the name for a stem; a hash follows if the stem itself cannot be the name."""
    own = _begun(_replaced(stem, "_"))
    if own and own == stem and len(own.encode()) <= _LONGEST_NAME:
        return own
    return next(_with_digest(own or "scene", stem))


def _with_digest(safe: str, text: str) -> Iterator[str]:
    """Yield a shortened name with more and more digits of the hash of a text, then with numbers."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    short = safe.encode()[:_LONGEST_NAME].decode("utf-8", "ignore")
    for digits in range(_DIGITS, len(digest) + 1):
        yield f"{short}-{digest[:digits]}"
    number = 2
    while True:
        yield f"{short}-{digest}-{number}"
        number += 1


def _replaced(text: str, replacement: str, kept: str = "_-.") -> str:
    """Return a text with a replacement for each run of characters that are not letters, digits or `kept`.

    Letters keep their accents, in the composed form, because two programs may write one name in two forms.
    """
    result: list[str] = []
    for character in unicodedata.normalize("NFC", text):
        if _is_kept(character, kept):
            result.append(character)
        elif result[-1:] != [replacement]:
            result.append(replacement)
    return "".join(result)


def _begun(text: str) -> str:
    """Return a text from the first character on that a name may begin with."""
    return text[next((place for place, character in enumerate(text) if _may_begin(character)), len(text)) :]


def _is_kept(character: str, kept: str = "_-.") -> bool:
    """Return whether a character may be in a name: a letter, a digit, a mark of a letter, or one of `kept`."""
    return character in kept or unicodedata.category(character)[0] in "LMN"


def _may_begin(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] in "LN"
