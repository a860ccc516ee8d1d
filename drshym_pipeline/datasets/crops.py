"""What the training loop draws: augmented crops of labelled chips, and whole chips for validation.

A crop depends on (seed, index), and on the running losses of the chips where hard chips are drawn more often. It does
not depend on the worker that makes it or on what was drawn before, so a resumed run gets the same crops as an
uninterrupted one. The module `sampling` decides which chip is next. The function that turns dB into network input
belongs to the model and is passed in by the caller.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, get_worker_info

from drshym_pipeline.datasets.augmentation import SYMMETRIES, dihedral, drop_vh, jitter_db, mix
from drshym_pipeline.datasets.chips import DRY, IGNORED, WATER, ChipRef, InvalidLabel, read_chip
from drshym_pipeline.datasets.laid_water import lay_water
from drshym_pipeline.datasets.mirroring import mirrored_start, mirrored_window
from drshym_pipeline.datasets.sampling import ChipSampler, WeightedChips
from drshym_pipeline.datasets.sen1floods11 import WEAK
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.settings import TrainingConfig

_log = logging.getLogger(__name__)

_CACHE_BYTES = 2 << 30
_NAMED = 10  # number of chips that a warning names
_VISIBLE_IN_VV = 3.0  # dB by which water must be darker than land to be visible in VV alone
_CALM_VV = -15.0  # dB; a crop that is all water is visible in VV when it is darker than this

ToInput = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Sample = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Crop(NamedTuple):
    """One training sample, or a batch of samples with one more axis in front.

    Attributes:
        inputs: (C, size, size) float32 network input.
        truth: (size, size) float32, 1 water and 0 dry; in between where two crops were mixed.
        mask: (size, size) bool, True where the pixel counts.
        weight: () float32, weight of the label in the loss.
        chip: () int64, index of the chip; for a mixed crop, index of the chip with the larger share.
    """

    inputs: torch.Tensor
    truth: torch.Tensor
    mask: torch.Tensor
    weight: torch.Tensor
    chip: torch.Tensor


class ChipStore:
    """The pixels of chips, kept in memory in half precision while they fit, otherwise read again.

    Half precision keeps 0.02 dB, far below speckle. Chips that do not fit are converted to it as well, so the amount of
    memory never changes a result. A pickled store has no pixels: the process that receives it reads the chips that it
    draws, because a copy of all pixels in every worker process would not fit into the memory of a laptop.

    Args:
        refs: The chips.
        invalid_label: What to do with pixels of label -1, see `chips.read_chip`.
        cache_bytes: Largest number of bytes to keep. The worker processes of one loader share this amount.
        progress: Called after every chip of the first reading.
    """

    def __init__(
        self,
        refs: Sequence[ChipRef],
        invalid_label: InvalidLabel = "ignore",
        *,
        cache_bytes: int = _CACHE_BYTES,
        progress: Progress = silent,
    ) -> None:
        self.refs = list(refs)
        self._invalid_label: InvalidLabel = invalid_label
        self._cache_bytes = cache_bytes
        self._kept: dict[int, tuple[NDArray[np.float16], NDArray[np.int8]]] = {}
        self._kept_bytes = 0
        self.water_pixels = np.zeros(len(self.refs), np.int64)
        self.labelled_pixels = np.zeros(len(self.refs), np.int64)
        self.bands = np.zeros(len(self.refs), np.int64)
        for index in range(len(self.refs)):
            db, label = self[index]
            self.water_pixels[index] = np.count_nonzero(label == WATER)
            self.labelled_pixels[index] = np.count_nonzero(label != IGNORED)
            self.bands[index] = len(db)
            progress("read chips", index + 1, len(self.refs))

    def _read(self, index: int) -> tuple[NDArray[np.float16], NDArray[np.int8]]:
        chip = read_chip(self.refs[index], self._invalid_label)
        return chip.db.astype(np.float16), chip.label

    def __len__(self) -> int:
        return len(self.refs)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float16], NDArray[np.int8]]:
        if index in self._kept:
            return self._kept[index]
        db, label = self._read(index)
        worker = get_worker_info()
        size = db.nbytes + label.nbytes
        if self._kept_bytes + size <= self._cache_bytes // (worker.num_workers if worker else 1):
            self._kept[index] = (db, label)
            self._kept_bytes += size
        return db, label

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}, "_kept_bytes": 0}


def crop_window(
    db: NDArray[np.float16], label: NDArray[np.int8], row: int, col: int, size: int
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Cut a square from a chip; pixels outside the chip count as not observed.

    Args:
        db: (bands, h, w) dB.
        label: (h, w).
        row: First row, may be negative.
        col: First column, may be negative.
        size: Side in pixels.
    """
    height, width = label.shape
    cut = np.full((db.shape[0], size, size), np.nan, np.float32)
    truth = np.full((size, size), IGNORED, np.int8)
    top, left, bottom, right = max(row, 0), max(col, 0), min(row + size, height), min(col + size, width)
    target = (slice(top - row, bottom - row), slice(left - col, right - col))
    cut[(slice(None), *target)] = db[:, top:bottom, left:right]
    truth[target] = label[top:bottom, left:right]
    return cut, truth


def _to_sample(db: NDArray[np.float32], label: NDArray[np.int8], to_input: ToInput) -> Sample:
    """Return the tensors of a chip: input (C, h, w) float32, label (h, w) float32 in {0, 1}, mask (h, w) bool.

    The mask is True where the pixel counts.
    """
    mask = label != IGNORED
    truth = (label == WATER).astype(np.float32)
    return torch.from_numpy(to_input(db)), torch.from_numpy(truth), torch.from_numpy(mask)


def _water_shows_in_vv(vv: NDArray[np.float32], label: NDArray[np.int8]) -> bool:
    """Return whether the water of a crop is visible in VV alone.

    Wind-roughened water looks like land in VV. A network that is trained to find it there learns to guess.
    """
    water, dry = vv[label == WATER], vv[label == DRY]
    if water.size == 0:
        return True
    if dry.size == 0:
        return bool(np.median(water) < _CALM_VV)
    return bool(np.median(water) < np.median(dry) - _VISIBLE_IN_VV)


class TrainingCrops(Dataset[Crop]):
    """Random augmented crops; item `index` depends only on (seed, index) and the sampler's running losses.

    Args:
        store: The training chips of all sources, one source after the other. Chips without a single labelled pixel are
            named in a warning and never drawn.
        config: Crop size, share of crops with water, share of hard crops, jitter, mixing, and how often VH is dropped.
            VH is kept where VV does not show the water.
        to_input: Function that turns (bands, h, w) dB with NaN into (C, h, w) float32 network input. It receives VV
            alone where VH is dropped. It must be possible to pickle it: worker processes may be spawned.
        seed: Seed of all crops.
        length: Number of items, such as steps x batch size.
        sources: Sources of the chips, in the order of `store`; by default one source with all chips.

    Raises:
        InputError: A source has no chip with a labelled pixel.
    """

    def __init__(
        self,
        store: ChipStore,
        config: TrainingConfig,
        to_input: ToInput,
        *,
        seed: int,
        length: int,
        sources: Sequence[WeightedChips] = (),
    ) -> None:
        self._store = store
        self._config = config
        self._to_input = to_input
        self._seed = seed
        self._length = length
        sizes = [len(source.refs) for source in sources] or [len(store)]
        if sum(sizes) != len(store):
            raise ValueError(f"the sources have {sum(sizes)} chips, the store {len(store)}")
        self.sampler = ChipSampler(
            store.labelled_pixels,
            store.water_pixels,
            np.repeat(np.arange(len(sizes)), sizes),
            [source.weight for source in sources] or [1.0],
            water_share=config.water_share,
            hard_share=config.hard_share,
        )
        worth = np.repeat([source.label_weight for source in sources] or [1.0], sizes)
        weak = np.asarray([ref.split == WEAK for ref in store.refs])
        self._label_weights = np.where(weak, worth * config.weak_weight, worth).astype(np.float32)
        self._laid_water = np.repeat([source.laid_water for source in sources] or [0.0], sizes)
        unused = [store.refs[index].chip_id for index in np.flatnonzero(store.labelled_pixels == 0)]
        if unused:
            more = f" and {len(unused) - _NAMED} more" if len(unused) > _NAMED else ""
            _log.warning(
                "%d training chips have no labelled, observed pixel and are never drawn: %s%s",
                len(unused),
                ", ".join(unused[:_NAMED]),
                more,
            )

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Crop:
        if not 0 <= index < self._length:
            raise IndexError(f"crop {index} of {self._length}")
        db, label, chip = self._draw(self._generator(index))
        truth, mask = (label == WATER).astype(np.float32), label != IGNORED
        weight = self._label_weights[chip]
        if self._config.mixup > 0.0:
            rng = self._generator(index, 1)
            # `chip` gets the larger share, because the loss of the crop becomes the running loss of that chip. Mixing
            # is symmetrical, so nothing else changes.
            share = np.float32(abs(rng.beta(self._config.mixup, self._config.mixup) - 0.5) + 0.5)
            other_db, other_label, other_chip = self._draw(rng)
            db = mix(db, other_db, float(share))
            truth = share * truth + (1 - share) * (other_label == WATER).astype(np.float32)
            mask &= other_label != IGNORED
            weight = share * weight + (1 - share) * self._label_weights[other_chip]
        return Crop(
            torch.from_numpy(self._to_input(db)),
            torch.from_numpy(truth),
            torch.from_numpy(mask),
            torch.tensor(weight, dtype=torch.float32),
            torch.tensor(chip),
        )

    def draw(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Return the augmented crop in dB before it is mixed: ((bands, size, size) float32, (size, size) int8).

        There is one band where VH is dropped.
        """
        db, label, _ = self._draw(self._generator(index))
        return db, label

    def _generator(self, *place: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self._seed, *place])))

    def _draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int8], int]:
        config = self._config
        chip, near_water = self.sampler.draw(rng)
        db, label = self._store[chip]
        mirrored = self._store.refs[chip].mirrored
        row, col = self._corner(rng, label, near_water, mirrored=mirrored)
        cut, truth = (mirrored_window if mirrored else crop_window)(db, label, row, col, config.crop)
        cut, truth = dihedral(cut, truth, int(rng.integers(SYMMETRIES)))
        if self._laid_water[chip] > 0.0 and rng.random() < self._laid_water[chip]:
            cut, truth = self._with_water(cut, truth, rng)
        without_vh = bool(rng.random() < config.drop_vh)
        if without_vh and cut.shape[0] > 1 and _water_shows_in_vv(cut[0], truth):
            cut = drop_vh(cut)
        cut = jitter_db(
            cut, rng, gain_db=config.jitter_gain_db, band_db=config.jitter_band_db, noise_db=config.jitter_noise_db
        )
        return cut, truth, chip

    def _with_water(
        self, db: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Lay the water of a crop of the main set into another crop."""
        chip = self.sampler.draw_wet(rng)
        if chip is None:
            return db, label
        water_db, water_label = self._store[chip]
        row, col = self._corner(rng, water_label, near_water=True, mirrored=False)
        cut = crop_window(water_db, water_label, row, col, self._config.crop)
        return lay_water(db, label, *dihedral(*cut, int(rng.integers(SYMMETRIES))))

    def _corner(
        self, rng: np.random.Generator, label: NDArray[np.int8], near_water: bool, *, mirrored: bool
    ) -> tuple[int, int]:
        """Draw the upper left corner of a crop.

        The crop is inside the chip where it fits, and has a water pixel in it when `near_water` is set.
        """
        size = self._config.crop
        corner: list[int] = []
        anchor = None
        if near_water:
            pixels = np.flatnonzero(label == WATER)
            anchor = divmod(int(pixels[rng.integers(pixels.size)]), label.shape[1])
        for axis, length in enumerate(label.shape):
            last = length - size
            if mirrored and last < 0:
                corner.append(mirrored_start(length, size, anchor and anchor[axis], rng))
            elif last <= 0:
                # A chip smaller than the crop is placed anywhere within it.
                corner.append(-int(rng.integers(-last + 1)))
            elif anchor is None:
                corner.append(int(rng.integers(last + 1)))
            else:
                spread = size // 4
                middle = anchor[axis] + int(rng.integers(-spread, spread + 1))
                corner.append(int(np.clip(middle - size // 2, 0, last)))
        return corner[0], corner[1]


class WholeChips(Dataset[Sample]):
    """Whole chips as they are, for validation. Samples differ in size where the chips do.

    Args:
        store: The chips.
        to_input: Function that turns dB into network input, as for `TrainingCrops`.
        vv_only: Whether VH is left out, to judge the network on VV alone.
    """

    def __init__(self, store: ChipStore, to_input: ToInput, *, vv_only: bool = False) -> None:
        self._store = store
        self._to_input = to_input
        self._vv_only = vv_only

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, index: int) -> Sample:
        db, label = self._store[index]
        bands = db.astype(np.float32)
        return _to_sample(drop_vh(bands) if self._vv_only else bands, label, self._to_input)
