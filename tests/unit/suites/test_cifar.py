"""CIFAR-10 in grey and in colour: from a small archive in the original layout, over HTTP."""

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api import RemoteFile, Signal, SpecError, Split, Tokens
from harness.data.fetch import FetchError
from harness.testing import NotApplicableError, checks_for
from suites import _cifar
from suites.images.scifar import MEAN, STD, SequentialCifar
from suites.lra.image import Image, grey_original, grey_s4
from tests.served import Site

TASKS = [Image(), Image(variant="original"), SequentialCifar()]
SPLITS: dict[Split, int] = {"train": 90, "validation": 10, "test": 20}
PER_FILE = 20
NAME = "cifar-10-binary.tar.gz"


def images(count: int, first: int) -> np.ndarray:
    """Return random images (n, 3, 32, 32); the first red value of each is its number."""
    pixels = np.random.default_rng(first).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    pixels[:, 0, 0, 0] = np.arange(first, first + count)
    return pixels


def labels(count: int, first: int) -> np.ndarray:
    return (np.arange(first, first + count) % 10).astype(np.uint8)


def archive(batches: dict[str, bytes]) -> bytes:
    """Pack files as CIFAR-10's binary archive does, among others that are no images."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in {"batches.meta.txt": b"airplane\n", **batches}.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def records(count: int, first: int) -> bytes:
    flat = images(count, first).reshape(count, -1)
    return np.concatenate([labels(count, first)[:, None], flat], 1).tobytes()


def small() -> dict[str, bytes]:
    """Return 100 training images in five files, not in their order, and 20 test images."""
    train = {f"data_batch_{i + 1}.bin": records(PER_FILE, PER_FILE * i) for i in (3, 0, 4, 1, 2)}
    return {"test_batch.bin": records(20, 100), **train}


@pytest.fixture(scope="module")
def content() -> bytes:
    return archive(small())


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> RemoteFile:
    """Have the small archive in place of the real one."""
    return put(tmp_path, monkeypatch, content)


def put(folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> RemoteFile:
    """Lay an archive into the folder for data, as if it had been fetched."""
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    file = RemoteFile(NAME, (f"http://127.0.0.1:1/{NAME}",), checksum, len(content))
    (folder / NAME).write_bytes(content)
    monkeypatch.setenv("SSM_BENCH_DATA", str(folder))
    monkeypatch.setattr(_cifar, "ARCHIVE", file)
    return file


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("task", TASKS, ids=str)
def test_every_check_that_applies_passes_on_small_data(task: _cifar.CifarTask) -> None:
    skipped = []
    for check in checks_for(task):
        try:
            check(task)
        except NotApplicableError:
            skipped.append(check.name)

    assert skipped == [
        "further-sets-ask-the-same",
        "oracle-scores-perfectly",
        "shortcuts-are-better-than-chance",
    ]


def numbers(task: _cifar.CifarTask, split: Split) -> list[int]:
    """Read the images' numbers back from the red of their first pixel."""
    assert isinstance(task, SequentialCifar)
    red = task.split(split).inputs[:, 0, 0] * STD[0] + MEAN[0]
    return (red * 255).round().int().tolist()


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("task", TASKS, ids=str)
@pytest.mark.parametrize("split", SPLITS)
def test_a_tenth_of_the_training_images_validates(task: _cifar.CifarTask, split: Split) -> None:
    batch = task.split(split).to(torch.device("cpu"))

    assert len(batch) == SPLITS[split]
    assert batch.inputs.shape[:2] == (SPLITS[split], 1024)
    assert task.inputs.encoder(4)(batch.inputs).shape == (SPLITS[split], 1024, 4)


@pytest.mark.usefixtures("stored")
def test_the_division_is_that_of_a_random_split_with_seed_42() -> None:
    every = torch.utils.data.random_split(
        range(100), (90, 10), generator=torch.Generator().manual_seed(42)
    )
    for split, part in zip(("train", "validation"), every, strict=True):
        assert numbers(SequentialCifar(), split) == sorted(part)
    assert numbers(SequentialCifar(), "test") == list(range(100, 120))


@given(count=st.integers(1, 2000), seed=st.integers(0, 2**31))
def test_the_random_order_is_torchs_permutation_under_that_seed(count: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)

    assert (
        _cifar.random_order(count, seed).tolist() == torch.randperm(count, generator=rng).tolist()
    )


def test_of_the_published_50000_images_45000_train_and_5000_validate() -> None:
    order = _cifar.random_order(50_000, 42)
    train, validation = torch.utils.data.random_split(
        range(50_000), (45_000, 5_000), generator=torch.Generator().manual_seed(42)
    )

    assert order[:45_000].tolist() == list(train)
    assert order[45_000:].tolist() == list(validation)


@pytest.mark.usefixtures("stored")
def test_the_last_images_validate_in_the_original_variant() -> None:
    batch = Image(variant="original").split("validation")
    colours = images(PER_FILE, 80)[10:].reshape(10, 3, 1024).swapaxes(1, 2)

    assert torch.equal(batch.inputs, torch.from_numpy(grey_original(colours)))
    assert batch.targets.tolist() == labels(10, 90).tolist()


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("split", SPLITS)
def test_labels_stay_beside_their_images(split: Split) -> None:
    task = SequentialCifar()

    assert task.split(split).targets.tolist() == [n % 10 for n in numbers(task, split)]


@pytest.mark.usefixtures("stored")
def test_pixels_are_read_row_by_row_and_normalised_by_colour() -> None:
    batch = SequentialCifar().split("test")
    pixels = torch.from_numpy(images(20, 100)[7, :, 4, 9]) / 255

    wanted = [(float(p) - m) / s for p, m, s in zip(pixels, MEAN, STD, strict=True)]
    assert batch.inputs[7, 4 * 32 + 9].tolist() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.usefixtures("stored")
def test_a_grey_value_is_normalised_as_published() -> None:
    batch = Image().split("test")
    red, green, blue = images(20, 100)[3, :, 2, 1].tolist()
    luma = round((19595 * red + 38470 * green + 7471 * blue) / 65536)

    assert batch.inputs[3, 2 * 32 + 1, 0].item() == pytest.approx((luma - 122.6) / 61, rel=1e-5)


def colours(*rows: tuple[int, int, int]) -> np.ndarray:
    """Return one image that begins with these colours."""
    image = np.zeros((1, 1024, 3), np.uint8)
    image[0, : len(rows)] = rows
    return image


def test_the_two_formulas_for_grey_differ_where_they_should() -> None:
    """By hand: 255.5 (0.2989 x 100 + 0.587 x 50 + 0.114 x 200) / 255 = 82.2, Pillow's 82.05."""
    picture = colours((0, 0, 0), (255, 255, 255), (100, 50, 200), (0, 0, 5), (1, 1, 1))

    assert grey_original(picture)[0, :5].tolist() == [0, 255, 82, 0, 1]
    assert grey_s4(picture)[0, :5].tolist() == [0, 255, 82, 1, 1]


def test_the_s4_grey_is_pillows() -> None:
    picture = images(1, 5).reshape(1, 3, 1024).swapaxes(1, 2)
    pillow = PIL.Image.fromarray(picture.reshape(32, 32, 3)).convert("L")

    assert np.array_equal(grey_s4(picture)[0], np.asarray(pillow).ravel())


def test_the_original_grey_is_that_of_float32_but_for_ties() -> None:
    rng = np.random.default_rng(2)
    picture = rng.integers(0, 256, (40, 1024, 3), dtype=np.uint8)
    scaled = picture.astype(np.float32) * np.float32(1 / 255)
    weighed = scaled @ np.array([0.2989, 0.5870, 0.1140], np.float32)
    tensorflow = (weighed * np.float32(255.5)).astype(np.uint8)
    apart = tensorflow.astype(int) - grey_original(picture)

    assert abs(apart).max() <= 1
    assert (apart != 0).mean() < 1e-3


def test_what_goes_in_follows_from_the_variant() -> None:
    assert [task.inputs for task in TASKS] == [Signal(1), Tokens(256), Signal(3)]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_the_file_is_the_published_one(task: _cifar.CifarTask) -> None:
    [file] = task.files()

    assert (file.size, file.checksum) == (
        170_052_171,
        "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    )


def test_the_archive_is_fetched_once_and_read(
    site: Site, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(_cifar, "ARCHIVE", site.put(NAME, content))

    assert numbers(SequentialCifar(), "test") == list(range(100, 120))
    assert len(Image().split("train")) == 90
    assert site.asked == [NAME]


def test_a_wrong_checksum_is_one_sentence(
    site: Site, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    wrong = replace(site.put(NAME, content), checksum="md5:" + "0" * 32)
    monkeypatch.setattr(_cifar, "ARCHIVE", wrong)

    with pytest.raises(FetchError, match=r"cifar-10-binary\.tar\.gz .* has the md5"):
        Image().split("test")


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (records(2, 0)[:-1], "must hold records of 3,073 bytes"),
        (b"\x0a" + records(1, 0)[1:], "a label from 0 to 9"),
        (b"", "must hold records"),
        (None, "has no test_batch.bin"),
    ],
)
def test_an_archive_of_something_else_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: bytes | None, said: str
) -> None:
    put(tmp_path, monkeypatch, archive({} if batch is None else {"test_batch.bin": batch}))

    with pytest.raises(SpecError, match=said):
        Image().split("test")
