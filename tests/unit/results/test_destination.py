"""Where results cannot be stored is found out before a run, and a full disk loses none."""

import errno
import io
import os
from pathlib import Path

import pytest

from harness.core.errors import SpecError
from harness.report import write
from harness.results.destination import keep, try_folder, try_store
from harness.results.store import Store
from harness.runner.sweep import Sweep, perform
from tests.unit.report.made_records import blank, planned, scored


class FullDisk(io.FileIO):
    """A file that takes ten bytes more and then no more."""

    def write(self, text):
        """Write a part, then fail as a full disk does."""
        if len(text) > 10:
            return super().write(text[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def full(tmp_path, monkeypatch):
    """Let files below the results be on a full disk, and others elsewhere."""
    folder, fdopen = tmp_path / "results", os.fdopen

    def opened(descriptor, *words, **more):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_relative_to(folder):
            return FullDisk(descriptor, "r+")
        return fdopen(descriptor, *words, **more)

    monkeypatch.setattr(os, "fdopen", opened)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def test_a_record_that_finds_a_full_disk_is_kept_elsewhere_and_the_sentence_says_where(full):
    with pytest.raises(SpecError, match=r"No space left on device.* goes on from there") as told:
        keep(Store(full), scored())

    kept = Path(str(told.value).partition("is kept in '")[2].partition("'")[0])
    assert Store(kept.parents[1]).records() == [scored()]
    assert Store(full).path(scored().spec).read_bytes() == b"", "no torn line is left"


def test_what_is_in_the_way_is_told_before_anything_is_run(tmp_path):
    (tmp_path / "synthetic").write_text("a file")
    told = []

    with pytest.raises(SpecError, match=r"Nothing can be written to .* with --results"):
        list(perform(Sweep(runs=(), results=str(tmp_path)), [planned()], told.append))

    assert told == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_takes_no_file_is_refused_in_a_sentence(tmp_path, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), str(tmp_path))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)

    with pytest.raises(SpecError, match=f"{os.strerror(number)}; .* with --out"):
        try_folder(tmp_path, "--out")


def test_a_file_of_someone_else_is_refused_and_what_is_stored_asks_for_nothing(tmp_path):
    store = Store(tmp_path)
    store.path(blank().spec).mkdir(parents=True)

    try_store(store, [])
    with pytest.raises(SpecError, match="Is a directory"):
        try_store(store, [blank().spec])


def test_a_report_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "report.md").mkdir()

    with pytest.raises(SpecError, match=r"Is a directory .*report\.md"):
        write([scored()], tmp_path)
