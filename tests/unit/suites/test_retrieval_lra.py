"""Pairs of papers: from a small archive in the release's layout, and from copies of its tables."""

import gzip
import hashlib
import io
import random
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.api import PairLabel, RemoteFile, SpecError, Split, Tokens
from harness.data.cache import data_dir
from harness.data.fetch import FetchError, fault
from harness.testing import NotApplicableError, checks_for
from suites.lra import retrieval
from suites.lra._documents import END, UNKNOWN
from suites.lra._pairs import pairs
from suites.lra.retrieval import TABLES, Retrieval
from tests.served import Site

TASKS = [Retrieval(length=60), Retrieval(length=60, variant="original")]
NAME = "lra/lra_release.gz"
SIZES: dict[Split, int] = {"train": 24, "validation": 8, "test": 10}


def document(split: Split, number: int, side: int) -> str:
    """Return a text that says what it is, with quotation marks and a letter that is not ASCII."""
    return f'"{split} {number} {side}" é ' + "words, " * (number % 5 * side)


def table(split: Split) -> bytes:
    rows = (
        f"{number % 2}.0\tP{number}\tQ{number}\t{document(split, number, 0)}\t"
        f"{document(split, number, 1)}\n"
        for number in range(SIZES[split])
    )
    return "".join(rows).encode()


def archive(tables: dict[str, bytes]) -> bytes:
    """Pack tables as the release does: deep in folders, among files of other tasks."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in {"listops-1000/basic_val.tsv": b"Source\tTarget\n", **tables}.items():
            info = tarfile.TarInfo(f"./lra_release/lra_release/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def replaced(content: bytes, old: bytes, new: bytes, number: int) -> bytes:
    """Replace one occurrence of bytes by others, the first if the number is 0."""
    parts = content.split(old)
    return old.join(parts[: number + 1]) + new + old.join(parts[number + 1 :])


@pytest.fixture(scope="module")
def content() -> bytes:
    return archive({f"tsv_data/{name}": table(split) for split, name in TABLES.items()})


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Have the small archive in place of the real one, as if it had been fetched."""
    path = tmp_path / retrieval.RELEASE.name
    path.parent.mkdir()
    path.write_bytes(content)
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    file = RemoteFile(retrieval.RELEASE.name, ("http://127.0.0.1:1/",), checksum, len(content))
    monkeypatch.setenv("SSM_BENCH_DATA", str(tmp_path))
    monkeypatch.setattr(retrieval, "RELEASE", file)
    monkeypatch.setattr(Retrieval, "published", SIZES)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("task", TASKS, ids=str)
def test_every_check_that_applies_passes_on_small_data(task: Retrieval) -> None:
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
@pytest.mark.parametrize("split", SIZES)
def test_both_documents_stand_side_by_side_beside_their_label(split: Split) -> None:
    batch = Retrieval(variant="original").split(split)
    assert batch.lengths is not None
    said = [
        [bytes((row[:n] - 1).tolist()).decode() for row, n in zip(*pair, strict=True)]
        for pair in zip(batch.inputs, batch.lengths, strict=True)
    ]

    assert batch.inputs.shape[:2] == (SIZES[split], 2)
    assert said == [[document(split, i, side) for side in (0, 1)] for i in range(SIZES[split])]
    assert batch.targets.tolist() == [i % 2 for i in range(SIZES[split])]


@pytest.mark.usefixtures("stored")
def test_characters_are_numbered_in_order_and_an_end_follows_them() -> None:
    batch = Retrieval().split("validation")
    assert batch.lengths is not None
    said = document("validation", 0, 0)

    tokens = [ord(c) - ord(" ") + 3 if " " <= c <= "~" else UNKNOWN for c in said]
    assert UNKNOWN in tokens
    assert batch.inputs[0, 0, : len(said) + 1].tolist() == [*tokens, END]
    assert batch.lengths[0, 0] == len(said) + 1
    assert not batch.inputs[0, 0, len(said) + 1 :].any()


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(("variant", "last"), [("s4", END), ("original", ord("n") + 1)])
def test_long_documents_are_cut_to_their_length(variant: str, last: int) -> None:
    batch = Retrieval(variant=variant, length=6).split("train")

    assert batch.inputs.shape == (24, 2, 6)
    assert batch.lengths is not None
    assert (batch.lengths == 6).all()
    assert (batch.inputs[..., -1] == last).all()


@pytest.mark.usefixtures("stored")
def test_a_split_is_cached_in_shards_of_bytes_and_every_pair_is_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Retrieval, "shard_size", 7)
    task = Retrieval(variant="original", length=60)
    epoch = task.train_batches(6)
    seen = [row for _ in range(4) for row in next(epoch).inputs[:, 0]]

    shards = sorted(tmp_path.glob("parsed/*/train/*.npz"))
    assert len(shards) == 4
    assert task.shards("train")[0]().inputs.dtype == torch.uint8
    starts = {bytes((row[:12] - 1).clamp(min=0).tolist()) for row in seen}
    assert starts == {document("train", i, 0).encode()[:12] for i in range(24)}


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_copies_of_the_tables_say_the_same_as_the_release(
    task: Retrieval, site: Site, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    released = site.put("lra/lra_release.gz", content)
    copies = {split: site.put(f"lra/{name}", table(split)) for split, name in TABLES.items()}
    monkeypatch.setattr(retrieval, "RELEASE", released)
    monkeypatch.setattr(retrieval, "COPIES", copies)
    monkeypatch.setattr(Retrieval, "published", SIZES)
    copied = Retrieval(length=60, variant=task.variant, source="copies")

    for split in SIZES:
        one, other = task.split(split), copied.split(split)
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)
    assert sorted(site.asked) == sorted([released.name, *(f"lra/{n}" for n in TABLES.values())])


def test_a_file_of_unknown_size_and_checksum_is_fetched_and_its_checksum_recorded(
    site: Site, monkeypatch: pytest.MonkeyPatch, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = replace(site.put(NAME, content), size=None, checksum=None)
    monkeypatch.setattr(retrieval, "RELEASE", file)
    monkeypatch.setattr(Retrieval, "published", SIZES)
    assert len(Retrieval(length=60).split("test")) == 10

    told = " ".join(capsys.readouterr().err.split())
    assert f"Fetching {NAME} (of unknown size)" in told
    assert f"It has {len(content):,} bytes." in told
    assert f"its SHA-256 is {hashlib.sha256(content).hexdigest()}" in told
    (data_dir() / NAME).write_bytes(content[:-1])
    assert (fault(file) or "").startswith("has the sha256")


def test_an_interrupted_download_of_unknown_size_is_resumed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = random.Random(0).randbytes(300_000)
    content = archive({"pathfinder32/0.png": pictures, TABLES["test"]: table("test")})
    file = replace(site.put(NAME, content), size=None, checksum=None)
    monkeypatch.setattr(retrieval, "RELEASE", file)
    monkeypatch.setattr(Retrieval, "published", SIZES)
    site.breaks.append(200_000)
    with pytest.raises(FetchError, match=r"lra_release.gz \(of unknown size\) could not be"):
        Retrieval(length=60).split("test")

    assert len(Retrieval(length=60).split("test")) == 10
    assert [asked[:6] for asked in site.ranges] == ["", "bytes="]


def test_what_goes_in_and_what_is_asked() -> None:
    assert [task.inputs for task in TASKS] == [Tokens(98), Tokens(257)]
    assert Retrieval().max_length == Retrieval(variant="original").max_length == 4000
    assert TASKS[0].outputs == PairLabel(2)


@pytest.mark.parametrize("length", [1, 10_001])
def test_a_length_that_no_code_reads_is_refused(length: int) -> None:
    with pytest.raises(SpecError, match="must be 2 to 10,000"):
        Retrieval(length=length)


@pytest.mark.parametrize(
    "line", [b"1\ta\tb\ttext\n", b"2\ta\tb\tone\tother\n", b"yes\ta\tb\tone\tother\n", b"\n"]
)
def test_a_line_that_is_no_pair_is_named_in_one_sentence(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / TABLES["test"]
    path.write_bytes(b"1.0\ta\tb\tone\tother\n" + line)
    rows = pairs(path, path.name)

    assert next(rows) == (1, (b"one", b"other"))
    with pytest.raises(SpecError, match=r"Line 2 of new_aan_pairs.test.tsv in .* is no pair"):
        next(rows)


def test_a_table_that_is_cut_within_a_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / TABLES["test"]
    path.write_bytes(table("test")[:-5])
    rows = pairs(path, path.name)

    assert len([next(rows) for _ in range(SIZES["test"] - 1)]) == SIZES["test"] - 1
    with pytest.raises(SpecError, match=r"Line 10 of .* has no end, as if the table were cut"):
        next(rows)


@pytest.mark.usefixtures("stored")
def test_a_table_that_has_lost_a_pair_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Retrieval, "published", SIZES | {"test": SIZES["test"] + 1})

    with pytest.raises(SpecError, match=r"test.tsv in .* has 10 pairs, not the published 11; "):
        Retrieval().split("test")


def test_the_published_numbers_of_pairs_are_asked_for() -> None:
    assert Retrieval.published == {"train": 147_086, "validation": 18_090, "test": 17_437}


def test_an_archive_that_is_no_longer_packed_says_the_same(tmp_path: Path, content: bytes) -> None:
    packed, plain = tmp_path / "a.gz", tmp_path / "a.tar"
    packed.write_bytes(content)
    plain.write_bytes(gzip.decompress(content))

    for name in TABLES.values():
        assert list(pairs(packed, name)) == list(pairs(plain, name))


def test_an_archive_without_the_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lra_release.gz"
    path.write_bytes(archive({}))

    with pytest.raises(SpecError, match=r"There is no new_aan_pairs.test.tsv in"):
        list(pairs(path, TABLES["test"]))


@pytest.mark.parametrize("read", TABLES)
@pytest.mark.parametrize("changed", TABLES)
def test_a_changed_letter_is_noticed_wherever_it_stands(
    tmp_path: Path, content: bytes, read: Split, changed: Split
) -> None:
    path = tmp_path / "lra_release.gz"
    plain = gzip.compress(gzip.decompress(content), compresslevel=0)
    assert plain.count(b"P3\tQ3") == len(TABLES)
    number = list(TABLES).index(changed)
    path.write_bytes(replaced(plain, b"P3\tQ3", b"P3\tQ4", number))

    with pytest.raises(SpecError, match=r"lra_release.gz cannot be read .*CRC"):
        list(pairs(path, TABLES[read]))


@pytest.mark.parametrize("damage", ["cut", "no archive"])
def test_a_broken_archive_is_one_sentence(tmp_path: Path, content: bytes, damage: str) -> None:
    path = tmp_path / "lra_release.gz"
    path.write_bytes(content[:200] if damage == "cut" else gzip.compress(b"no archive"))

    with pytest.raises(SpecError, match=r"lra_release.gz cannot be read .* fetched again"):
        list(pairs(path, TABLES["test"]))
