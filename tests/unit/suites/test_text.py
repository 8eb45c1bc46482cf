"""IMDb's reviews: from a small archive in the original layout, as bytes and as characters."""

import hashlib
import io
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api import RemoteFile, SpecError, Split, Tokens
from harness.data.fetch import FetchError
from harness.testing import NotApplicableError, checks_for, run_checks
from suites.lra import text
from suites.lra._documents import (
    END,
    FIRST,
    UNKNOWN,
    Vocabulary,
    bytes_of,
    counted,
    held_out,
    padded,
    points_of,
)
from suites.lra.text import Text
from tests.served import Site

NAME = "aclImdb_v1.tar.gz"
TASKS = [Text(), Text(variant="original"), Text(length=20), Text(variant="original", length=20)]
SIZES: dict[Split, int] = {"train": 36, "validation": 4, "test": 20}
HALF = {"train": 20, "test": 10}


def review(part: str, kind: str, number: int) -> str:
    """Return a review that says what it is; every fourth has a rare letter, and some an umlaut."""
    rare = "ß" if number % 4 == 0 else ""
    return (
        f"{part} {kind} {number:02d}{rare}<br /><br />"
        + "söme words " * (number % 3)
        + "o" * number
    )


def archive() -> bytes:
    """Pack reviews as the original archive does, with lists and unlabelled ones among them."""
    files = {
        f"aclImdb/{part}/{kind}/{number}_{8 if kind == 'pos' else 2}.txt": review(
            part, kind, number
        )
        for part, count in HALF.items()
        for kind in ("neg", "pos")
        for number in range(count)
    }
    files |= {f"aclImdb/train/unsup/{number}_0.txt": "unlabelled" for number in range(5)}
    files |= {"aclImdb/README": "read me", "aclImdb/train/urls_pos.txt": "http://...\n"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content.encode())
            tar.addfile(info, io.BytesIO(content.encode()))
    return out.getvalue()


@pytest.fixture(scope="module")
def content() -> bytes:
    return archive()


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Have the small archive in place of the real one, as if it had been fetched."""
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    file = RemoteFile(NAME, (f"http://127.0.0.1:1/{NAME}",), checksum, len(content))
    (tmp_path / NAME).write_bytes(content)
    monkeypatch.setenv("SSM_BENCH_DATA", str(tmp_path))
    monkeypatch.setattr(text, "ARCHIVE", file)


def written(split: Split) -> list[tuple[str, int]]:
    """Read the reviews of a split back from their bytes."""
    batch = Text(variant="original").split(split)
    assert batch.lengths is not None
    rows = zip(batch.inputs, batch.lengths, batch.targets.tolist(), strict=True)
    return [(bytes((row[:n] - 1).tolist()).decode(), label) for row, n, label in rows]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("task", TASKS[:2], ids=str)
def test_every_check_that_applies_passes_on_small_data(task: Text) -> None:
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


@pytest.mark.usefixtures("stored")
def test_every_labelled_review_is_in_one_split_beside_its_label() -> None:
    splits = {split: written(split) for split in SIZES}
    train = [*splits["train"], *splits["validation"]]

    assert {split: len(rows) for split, rows in splits.items()} == SIZES
    for part, rows in (("train", train), ("test", splits["test"])):
        assert sorted(rows) == sorted(
            (review(part, kind, number), label)
            for label, kind in enumerate(("neg", "pos"))
            for number in range(HALF[part])
        )


@given(
    texts=st.lists(st.binary(max_size=3), min_size=1, max_size=60),
    order=st.randoms(note_method_calls=False),
)
def test_what_validates_depends_on_the_texts_alone(texts: list[bytes], order) -> None:
    chosen = dict(zip(texts, held_out(texts), strict=True))
    shuffled = list(texts)
    order.shuffle(shuffled)

    assert held_out(shuffled).tolist() == [chosen[one] for one in shuffled]
    assert held_out(texts).tolist() == [chosen[one] for one in texts], "equal texts stay together"
    assert held_out(texts).sum() >= max(len(texts) // 10, 1)


def test_of_25000_different_reviews_2500_validate() -> None:
    texts = [str(number).encode() for number in range(25_000)]

    assert held_out(texts).sum() == 2500


@pytest.mark.usefixtures("stored")
def test_bytes_are_tokens_one_above_their_value() -> None:
    batch = Text(variant="original").split("test")
    assert batch.lengths is not None
    [row] = [i for i, (said, _) in enumerate(written("test")) if said.startswith("test pos 04")]
    said = review("test", "pos", 4).encode()

    assert batch.inputs.shape[:1] == (20,)
    assert batch.inputs[row, : len(said)].tolist() == [byte + 1 for byte in said]
    assert batch.lengths[row] == len(said)
    assert not batch.inputs[row, len(said) :].any()


@pytest.mark.usefixtures("stored")
def test_characters_are_tokens_by_how_often_they_occur_in_training() -> None:
    batch = Text().split("test")
    assert batch.lengths is not None
    every = [review("train", kind, number) for kind in ("neg", "pos") for number in range(20)]
    counts = Counter("".join(every))
    known = [c for c in sorted(counts, key=lambda c: (-counts[c], c)) if counts[c] >= 15]
    tokens = {character: FIRST + rank for rank, character in enumerate(known)}
    wanted = {
        (*(tokens.get(c, UNKNOWN) for c in review("test", kind, number)), END)
        for kind in ("neg", "pos")
        for number in range(10)
    }
    rows = zip(batch.inputs, batch.lengths, strict=True)

    assert batch.inputs.shape[:1] == (20,)
    assert "ö" in tokens
    assert "ß" not in tokens, "10 times are too few"
    assert {tuple(row[:n].tolist()) for row, n in rows} == wanted


@pytest.mark.usefixtures("stored")
def test_a_long_review_loses_its_end_but_not_the_mark_of_the_end() -> None:
    batch = Text(length=8).split("validation")

    assert batch.inputs.shape == (4, 8)
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [8] * 4
    assert batch.inputs[:, -1].tolist() == [END] * 4


def test_what_goes_in_and_how_long_follows_from_the_variant() -> None:
    assert [task.inputs for task in TASKS[:2]] == [Tokens(135), Tokens(257)]
    assert [task.max_length for task in TASKS] == [4096, 4000, 20, 20]


def test_the_file_is_the_published_one() -> None:
    [file] = Text().files()

    assert (file.size, file.checksum) == (
        84_125_825,
        "sha256:c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
    )


@pytest.mark.parametrize(
    ("length", "sentence"), [(-1, "'length' must be at least 0"), (1, "must be 0 or at least 2")]
)
def test_a_length_that_holds_nothing_is_refused(length: int, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        Text(length=length)


def test_the_reviews_are_fetched_and_checked(
    site: Site, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    file = site.put(NAME, content)
    monkeypatch.setattr(text, "ARCHIVE", replace(file, checksum="md5:" + "0" * 32))
    with pytest.raises(FetchError, match=r"aclImdb_v1\.tar\.gz .* has the md5"):
        Text().split("test")

    monkeypatch.setattr(text, "ARCHIVE", file)
    assert len(Text().split("test")) == 20


def test_checking_a_task_whose_files_are_not_here_downloads_nothing_and_says_why(
    site: Site, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(text, "ARCHIVE", site.put(NAME, content))
    results = list(run_checks("task", "lra/text"))

    assert {result.outcome for result in results} == {"not-checked"}
    assert results[0].reason == f"{NAME} is not there; run `ssm-bench data fetch lra/text`."
    assert site.asked == []


def test_an_archive_of_something_else_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / NAME, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("aclImdb/train/unsup/0_0.txt"))

    with pytest.raises(SpecError, match="has no reviews at aclImdb/train"):
        Text().load("train", tmp_path)


@given(said=st.text(max_size=30), most=st.integers(1, 20))
def test_characters_are_code_points_however_many_bytes_they_take(said: str, most: int) -> None:
    coded = said.encode("utf-8", "replace")

    assert points_of(coded, most).tolist() == [ord(c) for c in coded.decode()[:most]]
    assert bytes_of(coded, most).tolist() == [byte + 1 for byte in coded[:most]]


def test_broken_utf_8_is_read_as_replacement_characters() -> None:
    assert points_of(b"a\xffb", 9).tolist() == [ord("a"), 0xFFFD, ord("b")]


def test_a_vocabulary_keeps_the_commonest_that_occur_often_enough() -> None:
    counts = counted([np.array([ord(c) for c in "ccccbbbaaaddx"])])

    assert Vocabulary.of(counts, 9, 2).table[[ord(c) for c in "cabdx"]].tolist() == [3, 4, 5, 6, 1]
    assert Vocabulary.of(counts, 5).table[[ord(c) for c in "cabdx"]].tolist() == [3, 4, 1, 1, 1]


def test_an_empty_text_is_one_position_of_padding() -> None:
    inputs, lengths = padded([np.array([5, 6]), np.array([], np.int16)], 3)

    assert inputs.tolist() == [[5, 6, 0], [0, 0, 0]]
    assert torch.equal(lengths, torch.tensor([2, 1]))
