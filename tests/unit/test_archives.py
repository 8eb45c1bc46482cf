"""Archives are streamed; nothing of them reaches the disk, and nothing broken passes for whole."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import SpecError
from harness.data.archives import ArchiveError, members

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


@pytest.mark.parametrize("kind", ["w", "w:gz", "zip"])
def test_members_come_in_the_archives_order_whatever_its_file_is_called(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "archive"
    packed(path, FILES) if kind == "zip" else tar(path, FILES, kind)

    assert list(members(path)) == list(FILES.items())
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

    assert list(members(path, "list.txt")) == [("list.txt", b"words")]


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

    assert list(members(path)) == [("plain", b"content")]


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
            list(members(path))
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
            list(members(path))


def test_a_file_that_is_no_archive_or_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>not found</html>")

    for name in ("page.html", "missing.zip"):
        with pytest.raises(ArchiveError, match="cannot be read"):
            list(members(tmp_path / name))
