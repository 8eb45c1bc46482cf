"""Downloads: checked, whole or absent, and every failure one sentence that helps."""

import gc
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from harness.api import RemoteFile
from harness.fetch import FetchError, fetched

# pooch leaves the connection of a failed download to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*socket:pytest.PytestUnraisableExceptionWarning",
)
CONTENT = b"forty-two bytes of data, more or less, yes"


class Shelf(BaseHTTPRequestHandler):
    """Serves `CONTENT`, except under two paths."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer."""
        self.asked.append(self.path)
        if self.path.endswith("missing"):
            self.send_error(404)
            return
        self.send_response(200)
        # The promise of more bytes than come is what an interrupted download looks like.
        short = self.path.endswith("interrupted")
        self.send_header("Content-Length", str(len(CONTENT) + (1000 if short else 0)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    Shelf.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
    gc.collect()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSM_BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SSM_BENCH_MIRROR", raising=False)
    return tmp_path / "data"


def remote(url: str, content: bytes = CONTENT) -> RemoteFile:
    digest = hashlib.sha256(content).hexdigest()
    return RemoteFile("set/file.bin", url, digest, len(content))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_missing_file_is_fetched_into_the_data_folder(address: str, folder: Path) -> None:
    assert fetched((remote(f"{address}/file.bin"),)) == folder

    assert (folder / "set" / "file.bin").read_bytes() == CONTENT
    assert files_in(folder) == ["file.bin"]


def test_a_file_that_is_there_is_not_fetched_again(address: str) -> None:
    for _ in range(3):
        fetched((remote(f"{address}/file.bin"),))

    assert Shelf.asked == ["/file.bin"]


def test_a_file_put_there_by_hand_counts(folder: Path) -> None:
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "file.bin").write_bytes(CONTENT)

    assert fetched((remote("http://127.0.0.1:1/file.bin"),)) == folder


def test_a_damaged_file_is_fetched_again(address: str, folder: Path) -> None:
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "file.bin").write_bytes(CONTENT[:-1])

    fetched((remote(f"{address}/file.bin"),))

    assert (folder / "set" / "file.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_leaves_no_file(address: str, folder: Path) -> None:
    with pytest.raises(FetchError, match="SHA256 hash"):
        fetched((remote(f"{address}/file.bin", b"something else"),))

    assert files_in(folder) == []


def test_an_interrupted_download_leaves_no_file(address: str, folder: Path) -> None:
    with pytest.raises(FetchError, match="could not be fetched"):
        fetched((remote(f"{address}/interrupted"),))

    assert files_in(folder) == []


@pytest.mark.parametrize("path", ["missing", ":nowhere"])
def test_the_error_says_what_from_where_and_where_to_put_it(
    address: str, folder: Path, path: str
) -> None:
    url = "http://127.0.0.1:1/file.bin" if path == ":nowhere" else f"{address}/missing"

    with pytest.raises(FetchError) as caught:
        fetched((remote(url),))

    sentence = str(caught.value)
    assert "\n" not in sentence
    for part in ("set/file.bin (42 bytes)", url, str(folder / "set" / "file.bin"), "MIRROR"):
        assert part in sentence


def test_a_mirror_stands_in_for_everything_before_the_name(
    address: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSM_BENCH_MIRROR", f"{address}/copies/")

    fetched((remote("https://example.invalid/deep/path/file.bin"),))

    assert Shelf.asked == ["/copies/file.bin"]
    assert files_in(folder) == ["file.bin"]


def test_without_files_no_download_library_is_loaded() -> None:
    script = (
        "import sys, harness.fetch as f; f.fetched(()); "
        "sys.exit('pooch' in sys.modules or 'requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_without_a_chosen_folder_data_go_to_the_users_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SSM_BENCH_DATA")

    assert fetched(()).name == "ssm-bench"
