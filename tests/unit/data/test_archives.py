"""Archives are streamed; nothing of them reaches the disk, and nothing broken passes for whole."""

import gzip
import io
import random
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import SpecError, members
from harness.data import archives
from harness.data.archives import ArchiveError

FILES = {"set/b.txt": b"second", "set/a.txt": b"first", "set/deep/c.bin": bytes(3000)}


def tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def contents(path: Path, pattern: str = "*") -> list[tuple[str, bytes]]:
    return [(name, file.read()) for name, file in members(path, pattern)]


@pytest.mark.parametrize("kind", ["w", "w:gz", "zip"])
def test_members_come_in_the_archives_order_whatever_its_file_is_called(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "archive"
    packed(path, FILES) if kind == "zip" else tar(path, FILES, kind)

    assert contents(path) == list(FILES.items())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.txt", ["set/b.txt", "set/a.txt"]),
        ("set/deep/*", ["set/deep/c.bin"]),
        ("*/a.txt", ["set/a.txt"]),
        ("a.txt", []),
    ],
)
def test_a_pattern_picks_by_the_whole_name(pattern: str, names: list[str], tmp_path: Path) -> None:
    for path in (tar(tmp_path / "a.tar.gz", FILES), packed(tmp_path / "a.zip", FILES)):
        assert [name for name, _ in members(path, pattern)] == names


def test_a_leading_dot_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar.gz", {"./list.txt": b"words"})

    assert contents(path, "list.txt") == [("list.txt", b"words")]


@pytest.mark.parametrize("kind", ["w", "w:gz", "zip"])
def test_a_member_is_read_line_by_line_or_in_part_or_not_at_all(kind: str, tmp_path: Path) -> None:
    path, lines = tmp_path / "archive", b"first\nsecond\n\nlast"
    files = {"a": lines, "b": bytes(3000), "c": lines, "d": lines}
    packed(path, files) if kind == "zip" else tar(path, files, kind)
    found = members(path)

    assert list(next(found)[1]) == [b"first\n", b"second\n", b"\n", b"last"]
    next(found)
    _, file = next(found)
    assert file.read(3) == b"fir"
    assert next(found)[1].readline() == b"first\n"
    assert file.closed
    assert list(found) == []


@pytest.mark.parametrize("make", [tar, packed])
def test_what_is_streamed_is_never_whole_in_memory(make, tmp_path: Path) -> None:
    size = 48 << 20
    path = make(tmp_path / "archive", {"zeros": bytes(size)})
    tracemalloc.start()
    try:
        [(_, file)] = ((name, file) for name, file in members(path) if count(file) == size)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert file.closed
    assert most < size / 16


def count(file: BinaryIO) -> int:
    return sum(len(part) for part in iter(lambda: file.read(1 << 16), b""))


@pytest.mark.parametrize(
    ("make", "damaged"),
    [
        (tar, lambda whole: whole[: len(whole) // 2]),
        (packed, lambda whole: whole[:1000] + bytes(16) + whole[1016:]),
    ],
    ids=["a tar.gz file cut short", "a zip file that was changed"],
)
def test_reading_a_member_that_is_not_whole_is_one_sentence(make, damaged, tmp_path: Path) -> None:
    path = make(tmp_path / "archive", {"noise": random.Random(0).randbytes(2_000_000)})
    path.write_bytes(damaged(path.read_bytes()))
    found = members(path)
    _, file = next(found)

    with pytest.raises(ArchiveError, match=r"archive cannot be read \(.*; remove it"):
        count(file)


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", "C:\\x", "a\\..\\..\\b"])
@pytest.mark.parametrize("make", [tar, packed])
def test_a_name_that_points_out_of_the_archive_is_refused(make, name: str, tmp_path: Path) -> None:
    path = make(tmp_path / "archive", {name: b"evil"})

    with pytest.raises(ArchiveError, match="points out of it"):
        list(members(path))


def test_links_devices_and_folders_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)
    with tarfile.open(path, "w") as archive:
        for kind in kinds:
            info = tarfile.TarInfo(f"odd-{kind.decode()}")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)

    assert list(members(path)) == []


def test_links_and_folders_of_a_zip_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        plain = zipfile.ZipInfo("plain")
        plain.external_attr = 0o100644 << 16
        archive.writestr(plain, "content")
        archive.mkdir("folder")

    assert contents(path) == [("plain", b"content")]


@given(st.integers(1, 99))
def test_an_archive_cut_short_anywhere_is_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, percent: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    noise = gzip.compress(bytes(range(256)) * 40)  # does not shrink, so cuts fall everywhere
    files = {f"set/{i}.bin": noise + bytes([i]) for i in range(6)}
    for path in (tar(folder / "a.tar.gz", files), packed(folder / "a.zip", files)):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * percent // 100])

        with pytest.raises(SpecError) as caught:
            contents(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    noise = gzip.compress(bytes(range(256)) * 40)
    for path in (
        tar(tmp_path / "a.tar.gz", {"x": noise}),
        packed(tmp_path / "a.zip", {"x": noise}),
    ):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

        with pytest.raises(ArchiveError, match="cannot be read"):
            contents(path)


def test_a_file_that_is_no_archive_or_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>not found</html>")

    for name in ("page.html", "missing.zip"):
        with pytest.raises(ArchiveError, match="cannot be read"):
            list(members(tmp_path / name))


def test_a_member_with_holes_is_refused_whatever_size_it_claims(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tar"
    info = tarfile.TarInfo("set/hole")
    info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**15)}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)

    with pytest.raises(ArchiveError, match="has holes"):
        contents(path)


@pytest.mark.parametrize(
    "headers", [{"GNU.sparse.map": "x"}, {"GNU.sparse.size": "x", "GNU.sparse.map": "0,0"}]
)
def test_a_header_that_is_no_number_is_one_sentence(
    headers: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "odd.tar"
    info = tarfile.TarInfo("set/odd")
    info.pax_headers = headers
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)

    with pytest.raises(ArchiveError, match="cannot be read"):
        contents(path)


@pytest.mark.parametrize("make", [tar, packed])
def test_an_archive_that_swells_beyond_measure_is_not_unpacked(
    make: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "ROOM", 1 << 20)
    path = make(tmp_path / "bomb", {"set/zeros": bytes(4 << 20)})

    with pytest.raises(ArchiveError, match="more than 200 times its size"):
        contents(path)


def test_a_zip_whose_method_takes_memory_as_it_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lzma.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("set/a", b"first")

    with pytest.raises(ArchiveError, match="packed by a method"):
        contents(path)


@pytest.mark.parametrize("make", [tar, packed])
def test_what_is_passed_over_takes_no_more_than_an_archive_may_hold(
    make: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "ROOM", 1 << 20)
    path = make(tmp_path / "bomb", {"set/zeros": bytes(4 << 20), "set/a": b"first"})

    if make is packed:  # which has a list, and unpacks only what is wanted
        assert contents(path, "set/a") == [("set/a", b"first")]
    else:
        with pytest.raises(ArchiveError, match="more than 200 times its size"):
            contents(path, "set/a")


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_name_of_millions_of_letters_is_not_read(form: int, tmp_path: Path) -> None:
    path = tmp_path / "long.tar.gz"
    with tarfile.open(path, "w:gz", format=form) as archive:
        archive.addfile(tarfile.TarInfo("a" * (2 << 20)))

    with pytest.raises(ArchiveError, match="a name in it has 2,097,1"):
        contents(path)


@pytest.mark.parametrize("at", [0, 1024, 2048])
def test_a_broken_header_is_no_end(at: int, tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {"a": b"1", "b": b"2", "c": b"3"}, "w")
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)

    with pytest.raises(ArchiveError, match="bad checksum"):
        contents(path)


def test_a_zip_with_millions_of_members_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "LISTED", 1 << 10)
    path = packed(tmp_path / "many.zip", {f"set/{n}": b"" for n in range(1000)})

    with pytest.raises(ArchiveError, match="list of members"):
        contents(path)
