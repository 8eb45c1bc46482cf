"""`ssm-bench data`: what there is, to have it, to check it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch

from harness.api import Batch, CachedTask, OneLabel, Split, Tokens
from harness.core.config import RunSpec
from harness.core.messages import Progress
from harness.data.inspect import inspect
from harness.data.inventory import data_status, faults
from harness.data.shards import load_or_generate
from harness.runner.sweep import Sweep, Update, perform, plan
from suites.lra.listops import ListOps
from tests.served import Site


def listed(data) -> dict:
    return json.loads(data("list", "letters", "--json")[1])[0]


def test_list_says_what_is_needed_and_what_is_here(data, tmp_path: Path) -> None:
    before = listed(data)
    data("fetch", "letters")
    after = listed(data)

    assert before["missing"] == ["letters/all.txt"]
    assert (before["shards"], before["files"][0]["size"]) == (0, 8)
    assert (after["missing"], after["shards"]) == ([], 6)
    assert after["shard_bytes"] == sum(p.stat().st_size for p in tmp_path.rglob("*.npz"))
    assert after["folder"] == str(tmp_path / "data" / "letters")


def test_list_is_a_table_for_people(data) -> None:
    code, out, _ = data("list", "letters", "synthetic/shift")

    assert code == 0
    letters, shift = (
        next(line for line in out.splitlines() if line.startswith(name))
        for name in ("letters", "synthetic/shift")
    )
    assert "1 file, 8 bytes" in letters
    assert "0 of 1" in letters
    assert "no download" in shift


def test_fetch_leaves_nothing_to_be_done_by_runs(data, site: Site) -> None:
    code, out, _ = data("fetch", "letters", "--split", "test")
    assert (code, out) == (0, "letters: 4 examples in 2 shards\n")

    assert data("fetch", "letters")[1] == "letters: 14 examples in 6 shards\n"
    assert site.asked == ["letters/all.txt"]


def test_a_run_tells_what_it_fetches_and_parses_and_what_was_recorded(
    plugin: str, tmp_path: Path
) -> None:
    runs = (RunSpec(task="letters", model="chance"),)
    sweep = Sweep(runs=runs, results=str(tmp_path / "results"), plugins=(plugin,))
    news: list[Progress] = []

    def watch(update: Update) -> None:
        news.extend([update.progress] if update.progress else [])

    [record] = perform(sweep, plan(sweep).runs, watch)

    assert record.outcome == "ok"
    [fetching, recorded] = [new.notice for new in news if new.notice]
    assert fetching.startswith("Fetching letters/all.txt (8 bytes) from http://127.0.0.1")
    assert recorded.startswith("Nobody publishes a checksum of all.txt")
    waits = [new.status for new in news if new.status and not new.notice]
    assert waits[:3] == [
        "fetching letters/all.txt: 100 %",
        "reading letters: train",
        "reading letters: train, shard 1",
    ]


def test_fetch_of_what_is_made_on_the_spot_says_so(data) -> None:
    assert data("fetch", "synthetic/shift")[:2] == (0, "synthetic/shift: needs nothing\n")


def test_fetch_draws_what_is_drawn(data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ListOps, "examples", {"train": 4, "validation": 3, "test": 2})

    code, out, _ = data("fetch", "lra/listops", "--split", "validation")

    assert (code, out) == (0, "lra/listops: 3 examples in 1 shards\n")
    assert [p.name for p in tmp_path.rglob("*.npz")] == ["validation-0000x3.npz"]


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from harness.cli import main
main()
"""
"""Runs a verb where no file may grow beyond so many bytes, as if the disk were full then."""


@pytest.mark.parametrize(
    ("by_hand", "room", "what"),
    [(False, 4, "all.txt.part"), (True, 0, "all.txt.sha256"), (True, 100, "00000.npz")],
    ids=["a download", "a checksum", "a shard"],
)
def test_a_full_disk_is_one_sentence_wherever_it_is_met(
    plugin: str, tmp_path: Path, by_hand: bool, room: int, what: str
) -> None:
    if by_hand:
        (tmp_path / "data" / "letters").mkdir(parents=True)
        (tmp_path / "data" / "letters" / "all.txt").write_bytes(b"abcdefgh")

    words = [str(room), "data", "fetch", "letters", "--plugin", plugin]
    # What coverage counts would be too large a file as well.
    environment = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
    done = subprocess.run(
        [sys.executable, "-c", FULL, *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"{what} cannot be written (File too large); make room there" in done.stderr
    assert list(tmp_path.rglob("*.npz")) == []


def test_verify_is_silent_about_what_is_right(data) -> None:
    assert data("verify", "letters")[:2] == (0, "Looked at 0 files and shards; 0 are wrong.\n")

    data("fetch", "letters")

    assert data("verify", "letters")[:2] == (0, "Looked at 7 files and shards; 0 are wrong.\n")


def test_verify_names_what_changed_and_what_is_broken(data, tmp_path: Path) -> None:
    data("fetch", "letters")
    file = tmp_path / "data" / "letters" / "all.txt"
    file.write_bytes(b"abcdefgX")
    shard = min(tmp_path.rglob("*.npz"))
    shard.write_bytes(b"")

    code, out, _ = data("verify", "letters")

    assert code == 1
    [of_file, of_shard, whole] = out.splitlines()
    assert f"{file} has the sha256 " in of_file
    assert f"{shard} is broken" in of_shard
    assert whole == "Looked at 7 files and shards; 2 are wrong."


def test_what_verify_names_is_mended_by_fetch(data, tmp_path: Path) -> None:
    data("fetch", "letters")
    (tmp_path / "data" / "letters" / "all.txt").write_bytes(b"abcdefgX")
    min(tmp_path.rglob("*.npz")).write_bytes(b"")

    assert data("fetch", "letters")[0] == 0
    assert data("verify", "letters")[0] == 0


def test_a_split_that_lacks_a_shard_is_named_and_mended(data, tmp_path: Path) -> None:
    data("fetch", "letters")
    [shard] = tmp_path.glob("data/parsed/*/test/00000.npz")
    shard.unlink()

    code, out, _ = data("verify", "letters")

    assert code == 1
    assert f"{shard.parent} lacks shards; `ssm-bench data fetch 'letters'`" in out
    assert data("fetch", "letters", "--split", "test")[0] == 0
    assert data("verify", "letters")[0] == 0


def test_what_is_being_made_is_neither_listed_nor_verified(data, tmp_path: Path) -> None:
    data("fetch", "letters")
    [split] = tmp_path.glob("data/parsed/*/test")
    half = split.with_name(".test.0a1b2c3d.part")
    half.mkdir()
    (half / "00000.npz").write_bytes(b"half")

    assert listed(data)["shards"] == 6
    assert data("verify", "letters")[:2] == (0, "Looked at 7 files and shards; 0 are wrong.\n")


def test_a_shard_that_goes_while_it_is_listed_is_no_error(data, tmp_path: Path) -> None:
    data("fetch", "letters", "--split", "validation")
    [path] = tmp_path.rglob("*.npz")
    size = path.stat().st_size
    path.with_name("gone.npz").symlink_to("nowhere")  # is listed and cannot be looked at

    assert listed(data)["shard_bytes"] == size


def test_path_names_the_folder_of_all_or_of_one(data, tmp_path: Path) -> None:
    assert data("path")[1] == f"{tmp_path / 'data'}\n"
    assert data("path", "letters")[1] == f"{tmp_path / 'data' / 'letters'}\n"
    assert data("path", "lra/listops")[1].startswith(f"{tmp_path / 'data' / 'drawn'}/lra-listops@1")


@dataclass(frozen=True, kw_only=True)
class Numbered(CachedTask):
    """Tokens, by a kind of task that is neither generated nor in files; two shards a split."""

    cache_name = "numbered"
    inputs = property(lambda self: Tokens(9))
    outputs = property(lambda self: OneLabel(9))
    max_length = property(lambda self: 1)
    causal = property(lambda self: True)
    chance = property(lambda self: 0.0)

    def shards(self, split: Split) -> list[Callable[[], Batch]]:
        rows = torch.arange(3)
        batch = Batch(rows[:, None], rows)
        names = [f"{self.cache_name}/{split}-{number}" for number in (0, 1)]
        return [partial(load_or_generate, name, lambda: batch, "numbering") for name in names]


def test_another_kind_of_task_says_itself_where_its_shards_are_and_how_many_examples(
    site: Site, tmp_path: Path
) -> None:
    task = Numbered()

    seen = inspect("numbered", task, 4)
    have = data_status("numbered", task)

    assert seen.sizes == {"train": 6, "validation": 6, "test": 6}
    assert (seen.looked_at, seen.per_second) == (4, None)
    assert (have.shards, have.folder) == (6, str(tmp_path / "data" / "numbered"))
    min(tmp_path.rglob("*.npz")).write_bytes(b"")
    [fault] = faults("numbered", task)
    assert "test-0.npz is broken" in fault


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list", "lra/listop"), "Did you mean 'lra/listops'"),
        (("fetch", "letters", "--split", "tst"), "Did you mean 'test'"),
        (("inspect", "scaling/forward"), "it has no data to inspect"),
        (("inspect", "synthetic/shift[lenth=64]"), "Did you mean 'length'"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_with_code_2(data, words, said) -> None:
    code, out, err = data(*words)

    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
