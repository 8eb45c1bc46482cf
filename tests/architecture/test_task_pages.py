"""Every task has its section in the docs, with a picture of an example where it has data."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tools import task_pages

ROOT = Path(__file__).parents[2]


def test_every_task_is_shown_on_a_page():
    done = subprocess.run(
        [sys.executable, "tools/task_pages.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_task_without_a_section_or_a_picture_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(task_pages, "PAGES", tmp_path)
    monkeypatch.setattr(task_pages, "ours", lambda: {"synthetic/shift", "synthetic/sort"})
    (tmp_path / "synthetic.md").write_text("<!-- example: synthetic/shift -->\n")

    assert task_pages.main(["--check"]) == 1
    told = capsys.readouterr().err
    assert "synthetic/sort is on no page" in told
    assert "synthetic/shift has no picture" in told
    assert "synthetic.md is not up to date" in told


def test_a_bare_marker_swallows_nothing_of_the_next_section():
    page = "<!-- example: a -->\n## b\n<!-- example: b -->\nold\n<!-- /example -->\nend\n"

    written = task_pages.MARKER.sub(lambda match: f"[{match['name']}]", page)

    assert written == "[a]## b\n[b]end\n"


def test_a_picture_is_drawn_once_and_the_page_shows_it(tmp_path, monkeypatch):
    monkeypatch.setattr(task_pages, "PAGES", tmp_path)
    monkeypatch.setattr(task_pages, "ours", lambda: {"tracking/parity"})
    page = tmp_path / "tracking.md"
    page.write_text("before\n<!-- example: tracking/parity -->\nafter\n")

    assert task_pages.main([]) == 0
    written = page.read_text()
    drawn = tmp_path / "pictures" / "tracking-parity-1.png"
    made = drawn.stat().st_mtime_ns
    assert task_pages.main([]) == 0

    assert "](pictures/tracking-parity-1.png)" in written
    assert written.startswith("before\n")
    assert written.endswith("<!-- /example -->\nafter\n")
    assert page.read_text() == written
    assert drawn.stat().st_mtime_ns == made


@pytest.mark.parametrize(
    ("values", "square"),
    [
        (torch.arange(300) % 7, False),
        (torch.linspace(0, 1, 50)[:, None], False),
        (torch.ones(40, 9), False),
        (torch.ones(16, 3), True),
        (torch.zeros(16, dtype=torch.long), True),
    ],
    ids=["tokens", "line", "channels", "colours", "classes"],
)
def test_every_kind_of_values_can_be_shown(values, square):
    with task_pages.panels(1) as (_, (axis,)):
        task_pages.show(axis, values, square=square)

    assert axis.lines or axis.images
