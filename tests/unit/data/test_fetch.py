"""Downloads: checked, whole or absent, resumed, and every failure one sentence that helps."""

import hashlib
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from harness.api import RemoteFile, SpecError
from harness.data.cache import CacheError, data_dir
from harness.data.fetch import FetchError, fault, fetch, missing
from tests.served import Site

CONTENT = b"forty-two bytes of data, more or less, yes"
NOWHERE = "http://127.0.0.1:1/file.bin"


@pytest.fixture
def folder(site: Site, tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def file(site: Site) -> RemoteFile:
    return site.put("set/file.bin", CONTENT)


def files_in(folder: Path) -> list[str]:
    """Return the names of files, without the lock that processes wait for."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.name != ".lock")


def by_hand(folder: Path, content: bytes) -> None:
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "file.bin").write_bytes(content)


def begun(folder: Path, file: RemoteFile) -> None:
    """Leave what an interrupted download leaves."""
    by_hand(folder, CONTENT[:10])
    path = folder / "set" / "file.bin"
    path.rename(path.with_name("file.bin.part"))
    path.with_name("file.bin.part.tag").write_text(f'{file.urls[0]}\n"one"')


def test_a_missing_file_is_fetched_into_the_data_folder(folder: Path, file: RemoteFile) -> None:
    assert (missing((file,)), fault(file)) == ([file], "is not there")

    assert fetch((file,)) == folder

    assert (missing((file,)), fault(file)) == ([], None)
    assert (folder / "set" / "file.bin").read_bytes() == CONTENT
    assert files_in(folder) == ["file.bin"]


def test_a_file_that_is_there_is_not_fetched_again(site: Site, file: RemoteFile) -> None:
    for _ in range(3):
        fetch((file,))

    assert site.asked == ["set/file.bin"]


def test_a_file_put_there_by_hand_counts(folder: Path, file: RemoteFile) -> None:
    by_hand(folder, CONTENT)

    assert fetch((replace(file, urls=(NOWHERE,)),)) == folder
    assert files_in(folder) == ["file.bin"]


@pytest.mark.parametrize("damaged", [CONTENT[:-1], CONTENT.upper()], ids=["shorter", "changed"])
def test_a_damaged_file_is_fetched_again(damaged: bytes, folder: Path, file: RemoteFile) -> None:
    by_hand(folder, damaged)

    fetch((file,))

    assert (folder / "set" / "file.bin").read_bytes() == CONTENT


def test_a_file_that_cannot_be_read_is_fetched_again(folder: Path, file: RemoteFile) -> None:
    path, file = folder / "set" / "file.bin", replace(file, size=None)
    path.parent.mkdir(parents=True)
    path.symlink_to("/proc/self/mem")  # a file whose first byte nobody can read

    assert fault(file) == "cannot be read (Input/output error)"
    fetch((file,))
    assert path.read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_no_file_and_says_both(folder: Path, file: RemoteFile) -> None:
    wanted, found = (hashlib.sha256(x).hexdigest() for x in (b"something else", CONTENT))

    with pytest.raises(FetchError) as caught:
        fetch((replace(file, checksum=f"sha256:{wanted}"),))

    assert f"sha256 {found}, not {wanted}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files_in(folder) == []


def test_a_wrong_size_leaves_no_file_and_says_both(folder: Path, file: RemoteFile) -> None:
    with pytest.raises(FetchError, match="has 42 bytes, not 1,042"):
        fetch((replace(file, size=1042),))

    assert files_in(folder) == []


def test_an_md5_will_do(file: RemoteFile) -> None:
    right, wrong = (f"md5:{hashlib.md5(x).hexdigest()}" for x in (CONTENT, b"other"))

    fetch((replace(file, checksum=right),))
    with pytest.raises(FetchError, match="md5"):
        fetch((replace(file, checksum=wrong, urls=(NOWHERE,)),))


@pytest.mark.parametrize("text", ["", "sha256:12", "sha1:" + "0" * 40, "0" * 64])
def test_what_is_no_checksum_is_refused_when_it_is_written(text: str) -> None:
    with pytest.raises(SpecError, match="write it like 'sha256:"):
        RemoteFile("file", ("http://127.0.0.1",), text, 1)


def test_a_file_without_an_address_is_refused_when_it_is_written() -> None:
    with pytest.raises(SpecError, match="has no address"):
        RemoteFile("file", (), None, 1)


def test_an_unpublished_checksum_is_recorded_once_and_holds(
    folder: Path, file: RemoteFile, capfd: pytest.CaptureFixture[str]
) -> None:
    unpublished, digest = replace(file, checksum=None), hashlib.sha256(CONTENT).hexdigest()
    fetch((unpublished,))
    assert digest in capfd.readouterr().err
    assert (folder / "set" / "file.bin.sha256").read_text() == f"{digest}  file.bin\n"

    fetch((unpublished,))
    assert capfd.readouterr().err == ""

    (folder / "set" / "file.bin").write_bytes(CONTENT.upper())
    with pytest.raises(FetchError, match=r"or delete file\.bin\.sha256 if"):
        fetch((replace(unpublished, urls=(NOWHERE,)),))


def test_a_recorded_checksum_goes_with_its_file(site: Site, folder: Path, file: RemoteFile) -> None:
    unpublished, path = replace(file, checksum=None, size=None), folder / "set" / "file.bin"
    site.files["set/file.bin"] = b"<html>Come back later.</html>"
    fetch((unpublished,))
    site.files["set/file.bin"] = CONTENT
    path.unlink()

    fetch((unpublished,))

    assert path.read_bytes() == CONTENT
    path.write_bytes(b"changed")
    fetch((unpublished,))
    assert path.read_bytes() == CONTENT, "what is recorded is the second file's"


@pytest.mark.parametrize("text", ["", "<html>", "0" * 63, "0" * 65, "é"])
def test_a_record_that_is_no_checksum_is_written_again(
    text: str, folder: Path, file: RemoteFile
) -> None:
    by_hand(folder, CONTENT)
    record = folder / "set" / "file.bin.sha256"
    record.write_text(text)

    fetch((replace(file, checksum=None, urls=(NOWHERE,)),))

    assert record.read_text() == f"{hashlib.sha256(CONTENT).hexdigest()}  file.bin\n"


def test_an_answer_cut_short_that_tells_no_length_is_noticed_by_its_size(
    site: Site, folder: Path, file: RemoteFile
) -> None:
    site.tells_length = False
    site.breaks.append(20)

    with pytest.raises(FetchError, match="has 20 bytes, not 42"):
        fetch((replace(file, checksum=None),))
    assert files_in(folder) == []


def test_an_interrupted_download_is_resumed(site: Site, folder: Path) -> None:
    content = b"%07d " * 40_000 % tuple(range(40_000))
    file = site.put("set/file.bin", content)
    site.breaks.append(200_000)
    with pytest.raises(FetchError, match="could not be fetched"):
        fetch((file,))
    first = (folder / "set" / "file.bin.part").read_bytes()
    assert "file.bin" not in files_in(folder)
    assert content.startswith(first)
    assert 100_000 < len(first) <= 200_000

    fetch((file,))

    assert site.ranges == ["", f"bytes={len(first)}-"]
    assert (folder / "set" / "file.bin").read_bytes() == content
    assert files_in(folder) == ["file.bin"]


@pytest.mark.parametrize("change", ["etag", "no ranges", "address"])
def test_a_download_starts_again_where_it_cannot_go_on(
    change: str, site: Site, folder: Path, file: RemoteFile
) -> None:
    begun(folder, file)
    other = CONTENT.upper()
    newer = site.put("set/file.bin" if change == "etag" else "file.bin", other)
    if change == "etag":
        site.etag = '"two"'
    elif change == "no ranges":
        site.files["set/file.bin"] = other
        site.knows_ranges = False
        newer = replace(newer, urls=file.urls)

    fetch((replace(newer, name=file.name),))

    assert (folder / "set" / "file.bin").read_bytes() == other


def test_a_download_that_ended_before_it_was_checked_is_not_repeated(
    site: Site, folder: Path, file: RemoteFile
) -> None:
    by_hand(folder, CONTENT)
    (folder / "set" / "file.bin").rename(folder / "set" / "file.bin.part")

    fetch((file,))

    assert site.asked == []
    assert files_in(folder) == ["file.bin"]


@pytest.mark.parametrize("code", [403, 404, 429, 503])
def test_a_refusal_leaves_what_an_earlier_download_left(
    code: int, site: Site, folder: Path, file: RemoteFile
) -> None:
    begun(folder, file)
    site.refusals.append(code)
    with pytest.raises(FetchError, match=str(code)):
        fetch((file,))
    assert (folder / "set" / "file.bin.part").read_bytes() == CONTENT[:10]

    fetch((file,))

    assert site.ranges == ["bytes=10-"]
    assert (folder / "set" / "file.bin").read_bytes() == CONTENT


def test_an_address_without_the_file_leaves_what_another_began(
    site: Site, folder: Path, file: RemoteFile
) -> None:
    begun(folder, file)

    fetch((replace(file, urls=(f"{site.address}/missing", *file.urls)),))

    assert site.asked == ["missing", "set/file.bin"]
    assert site.ranges == ["", "bytes=10-"]
    assert (folder / "set" / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "left",
    [CONTENT + b", or more", CONTENT.upper(), CONTENT[:10].upper()],
    ids=["too long", "wrong", "begun wrong"],
)
def test_what_an_earlier_download_left_is_thrown_away_if_it_is_wrong(
    left: bytes, folder: Path, file: RemoteFile
) -> None:
    begun(folder, file)
    (folder / "set" / "file.bin.part").write_bytes(left)

    fetch((file,))

    assert (folder / "set" / "file.bin").read_bytes() == CONTENT
    assert files_in(folder) == ["file.bin"]


def test_what_a_server_has_no_rest_of_is_asked_for_as_a_whole(
    site: Site, folder: Path, file: RemoteFile
) -> None:
    begun(folder, file)
    site.refusals.append(416)

    fetch((file,))

    assert site.ranges == [""]
    assert (folder / "set" / "file.bin").read_bytes() == CONTENT


def test_a_wrong_file_is_fetched_once_from_each_address(site: Site, file: RemoteFile) -> None:
    site.files |= {"set/file.bin": b"wrong", "other": b"wrong too"}

    with pytest.raises(FetchError, match=r"has 5 bytes.* or .*has 9 bytes"):
        fetch((replace(file, urls=(*file.urls, f"{site.address}/other")),))

    assert site.asked == ["set/file.bin", "other"]


def test_a_folder_where_the_file_belongs_is_one_sentence_and_no_download(
    site: Site, folder: Path, file: RemoteFile
) -> None:
    (folder / "set" / "file.bin").mkdir(parents=True)

    assert fault(file) == "is a folder, not a file"
    with pytest.raises(FetchError, match=r"is a folder where the file set/file\.bin belongs"):
        fetch((file,))
    assert site.asked == []


def test_addresses_are_tried_in_order(site: Site, folder: Path, file: RemoteFile) -> None:
    site.files["spoiled"] = CONTENT.upper()
    paths = ("missing", "spoiled", "set/file.bin", "never")

    fetch((replace(file, urls=tuple(f"{site.address}/{path}" for path in paths)),))

    assert site.asked == ["missing", "spoiled", "set/file.bin"]
    assert (folder / "set" / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["missing", ":nowhere"])
def test_the_error_says_what_from_where_and_where_to_put_it(
    site: Site, folder: Path, file: RemoteFile, path: str
) -> None:
    url = NOWHERE if path == ":nowhere" else f"{site.address}/missing"

    with pytest.raises(FetchError) as caught:
        fetch((replace(file, urls=(url,)),))

    sentence = str(caught.value)
    assert "\n" not in sentence
    for part in ("set/file.bin (42 bytes)", url, str(folder / "set" / "file.bin"), "MIRROR"):
        assert part in sentence


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path, file: RemoteFile) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")

    with pytest.raises(CacheError, match="SSM_BENCH_DATA"):
        fetch((file,))


@pytest.mark.parametrize("layout", ["copies/set/file.bin", "copies/file.bin"])
def test_a_mirror_stands_in_for_every_address(
    layout: str, site: Site, folder: Path, file: RemoteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files = {layout: CONTENT}
    monkeypatch.setenv("SSM_BENCH_MIRROR", f"{site.address}/copies/")

    fetch((replace(file, urls=("https://example.invalid/deep/path?download=1",)),))

    assert site.asked[-1] == layout
    assert files_in(folder) == ["file.bin"]


def test_two_that_want_the_same_file_fetch_it_once(
    site: Site, folder: Path, file: RemoteFile
) -> None:
    threads = [Thread(target=fetch, args=((file,),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert site.asked == ["set/file.bin"]
    assert (folder / "set" / "file.bin").read_bytes() == CONTENT


def test_two_that_want_an_unpublished_file_record_it_once(
    site: Site, folder: Path, file: RemoteFile, capfd: pytest.CaptureFixture[str]
) -> None:
    unpublished = replace(file, checksum=None)
    threads = [Thread(target=fetch, args=((unpublished,),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert capfd.readouterr().err.count("Nobody publishes") == 1
    assert files_in(folder) == ["file.bin", "file.bin.sha256"]


def test_without_a_download_no_library_for_it_is_loaded() -> None:
    script = (
        "import sys, harness.api; from harness.data.fetch import fetch; fetch(()); "
        "sys.exit(bool({'requests', 'rich.progress'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_without_a_chosen_folder_data_go_to_the_users_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SSM_BENCH_DATA")

    assert fetch(()).name == "ssm-bench"


def test_a_server_that_answers_with_another_range_is_not_believed(
    site: Site, folder: Path, file: RemoteFile
) -> None:
    begun(folder, file)
    site.shift = 3

    fetch((file,))

    assert site.ranges == ["bytes=10-", ""]
    assert (folder / "set" / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/x", "set//x", "set/./x", "..\\x", "a\0b", "set/" + "a" * 201]
)
def test_a_name_that_leaves_the_folder_or_fits_no_folder_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match=r"no path in the data folder|too long"):
        RemoteFile(name, (NOWHERE,), None, None)


def test_an_answer_without_a_file_is_no_empty_file(
    site: Site, folder: Path, file: RemoteFile
) -> None:
    site.refusals.append(204)

    with pytest.raises(FetchError, match="answered 204"):
        fetch((replace(file, checksum=None, size=None),))
    assert "file.bin" not in files_in(folder)


def test_a_first_part_that_is_a_link_is_not_written_through(
    folder: Path, file: RemoteFile, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(CONTENT[:10])
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "file.bin.part").symlink_to(victim)

    for beside in ("file.bin.part.tag", "file.bin.sha256.part"):
        (folder / "set" / beside).symlink_to(victim)

    fetch((replace(file, checksum=None),))

    assert victim.read_bytes() == CONTENT[:10]
    assert (folder / "set" / "file.bin").read_bytes() == CONTENT


def test_a_damaged_tag_of_a_first_part_starts_the_download_again(
    folder: Path, file: RemoteFile
) -> None:
    begun(folder, file)
    tag = folder / "set" / "file.bin.part.tag"
    tag.write_bytes(file.urls[0].encode() + b"\n\xff\x00\xe9")

    fetch((file,))

    assert (folder / "set" / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [10, None])
def test_an_answer_without_end_is_not_stored_whole(
    site: Site, folder: Path, file: RemoteFile, size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["set/file.bin"] = bytes(1 << 20)
    monkeypatch.setattr("harness.data.fetch.MOST_BYTES", 1 << 17)

    with pytest.raises(FetchError, match=r"more than 131|bytes, not 10"):
        fetch((replace(file, checksum=None, size=size),))
    assert sum(path.stat().st_size for path in folder.rglob("*.part")) <= 1 << 18


def test_a_home_folder_is_written_as_people_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSM_BENCH_DATA", "~/data-of-mine")

    assert data_dir() == Path.home() / "data-of-mine"


@pytest.mark.parametrize("length", ["abc", "-1", "9" * 400, "1e3", "\u0664\u0662"])
def test_a_length_that_is_none_is_no_matter(
    length: str, site: Site, folder: Path, file: RemoteFile
) -> None:
    site.length = length.encode().decode("latin-1")

    with suppress(FetchError):
        fetch((replace(file, size=None),))

    whole = folder / "set" / "file.bin"
    assert not whole.exists() or whole.read_bytes() == CONTENT
