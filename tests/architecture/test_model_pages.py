"""Every model has its page, whose options and costs are those of the code and the tables."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.plugins.registry import registry
from tools import model_pages

ROOT = Path(__file__).parents[2]
OURS = [each for each in registry().of("model").values() if each.origin == "ssm-bench"]
HEADINGS = ("Formula", "Source", "What its paper claims", "Cost", "Try it")


@pytest.mark.parametrize("entry", OURS, ids=lambda entry: entry.name)
def test_a_model_has_a_page_with_everything_in_it(entry):
    text = (ROOT / "docs" / "models" / f"{entry.name}.md").read_text()

    assert text.startswith(f"# {entry.name}\n")
    assert [h for h in HEADINGS if f"\n## {h}\n" not in text] == []
    assert "ssm-bench " in text


def test_the_generated_parts_of_the_pages_are_up_to_date():
    done = subprocess.run(
        [sys.executable, "tools/model_pages.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_navigation_holds_every_page_of_a_model():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    (pages,) = (part["Models"] for part in nav if isinstance(part, dict) and "Models" in part)

    assert set(pages) == {"models/index.md", *(f"models/{entry.name}.md" for entry in OURS)}


def test_a_part_is_put_behind_its_marker_once_and_nothing_else_moves():
    page = "# x\n\n<!-- options -->\n\n## Cost\n<!-- cost -->\n"

    once = model_pages.filled(page, {"options": "| a |", "cost": "None."})

    assert once == (
        "# x\n\n<!-- options -->\n\n| a |\n\n<!-- /options -->\n\n## Cost\n"
        "<!-- cost -->\n\nNone.\n\n<!-- /cost -->\n"
    )
    assert model_pages.filled(once, {"options": "| a |", "cost": "None."}) == once
    assert "| b |\n\n<!-- /options -->" in model_pages.filled(once, {"options": "| b |"})


def test_the_options_are_those_of_the_recipe_with_their_meanings():
    rows = model_pages.options(registry().find("model", "s4d")).splitlines()

    (state,) = (row for row in rows if row.startswith("| `state` |"))
    (init,) = (row for row in rows if row.startswith("| `init` |"))
    assert "| whole number | `64` | N, states of a channel" in state
    assert "`legs`, `inv`, `lin`, `real`" in init


def test_a_model_without_options_says_so():
    assert model_pages.options(registry().find("model", "chance")) == "It has no options."


def test_the_costs_are_those_of_the_tables_with_their_machine(tmp_path, monkeypatch):
    (tmp_path / "long.csv").write_text(
        "model,call,length,width,seconds,peak_bytes,reason,cores,processor,torch,commit\n"
        "s4d,train,65536,128,0.5,1073741824,,2,Acme,2.13,abc\n"
        "s4d,train,262144,128,,,It took too long.,2,Acme,2.13,abc\n"
        "dlr,train,65536,128,9,9,,2,Acme,2.13,abc\n"
    )
    monkeypatch.setattr(model_pages, "TABLES", tmp_path)
    model_pages.measured.cache_clear()
    text = model_pages.cost("s4d")
    model_pages.measured.cache_clear()

    assert "| training step, 65,536 positions, width 128 | 500 ms | 1.00 GiB |" in text
    assert "| training step, 262,144 positions, width 128 | It took too long. | — |" in text
    assert text.endswith("on 2 cores (Acme), torch 2.13; commit abc.")
    assert len(re.findall("training step", text)) == 2


def test_costs_that_nobody_measured_are_not_made_up(tmp_path, monkeypatch):
    monkeypatch.setattr(model_pages, "TABLES", tmp_path)
    model_pages.measured.cache_clear()
    said = model_pages.cost("s4d")
    model_pages.measured.cache_clear()

    assert said.startswith("Not measured")


def test_a_page_that_drifts_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(model_pages, "PAGES", tmp_path)
    parts = {"options": "| new |"}
    made = {tmp_path / "a.md": parts, tmp_path / "b.md": parts, tmp_path / "c.md": parts}
    monkeypatch.setattr(model_pages, "pages", lambda: made)
    (tmp_path / "a.md").write_text("<!-- options -->\n| old |\n<!-- /options -->\n")
    (tmp_path / "b.md").write_text("nothing\n")

    assert model_pages.main(["--check"]) == 1
    told = capsys.readouterr().err
    assert "a.md is not up to date" in told
    assert "b.md has no marker 'options'" in told
    assert "c.md is missing" in told
    model_pages.main([])
    assert "| new |" in (tmp_path / "a.md").read_text()
