import json
import re
import struct
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from harness.core.config import Protocol
from harness.core.record import Partial
from harness.report import runs, write
from tests.unit.report.made_records import blank, lost, measured, scored, sweep


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return {path.relative_to(folder).as_posix(): path for path in write(sweep(), folder)}


def test_a_report_is_markdown_csv_figures_and_one_page(written):
    names = ("map", "scores", "ranks", "profiles", "fronts", "losses", "time", "memory")
    assert set(written) == {
        "report.md",
        "report.html",
        "scores.csv",
        "scaling.csv",
        "literature.csv",
        *(f"figures/{name}.{ending}" for name in names for ending in ("png", "svg")),
    }


def test_figures_are_pictures_of_a_readable_size(written):
    for name, path in written.items():
        if name.endswith("png"):
            data = path.read_bytes()
            assert data.startswith(b"\x89PNG\r\n\x1a\n")
            width, height = struct.unpack(">II", data[16:24])
            assert width > 1000
            assert height > 400
        if name.endswith("svg"):
            assert ET.parse(path).getroot().tag.endswith("svg")


def test_the_same_records_give_the_same_bytes_in_another_process(written, tmp_path):
    code = (
        "import sys; from pathlib import Path; from harness.report import runs, write;"
        "from tests.unit.report.made_records import sweep; write(sweep(), Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    for name, path in written.items():
        assert (tmp_path / name).read_bytes() == path.read_bytes(), name


def test_markdown_shows_every_figure_that_was_written(written):
    shown = set(re.findall(r"\]\((figures/\w+\.png)\)", written["report.md"].read_text()))
    assert shown == {name for name in written if name.endswith("png")}


class Addresses(HTMLParser):
    """Collects every address that a page would fetch, and its cells."""

    def __init__(self):
        super().__init__()
        self.found, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        """Note one tag."""
        self.tags.append(tag)
        self.found += [value for key, value in attributes if key in {"src", "href", "srcset"}]


def test_the_page_fetches_nothing_and_runs_one_script_that_its_policy_names(written):
    text = written["report.html"].read_text()
    page = Addresses()
    page.feed(text)
    assert page.found
    assert all(address.startswith(("data:", "#")) for address in page.found)
    assert page.tags.count("img") == 8
    assert page.tags.count("script") == 3
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    allowed = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src"
    assert f"{allowed} 'sha256-{digest}'" in text
    assert "connect-src" not in text


def test_text_of_plugins_is_no_markup_on_the_page(tmp_path):
    reason = "</script><script>alert(1)</script> & more"
    partial = Partial(traceback=[reason])
    write([lost("synthetic/shift", "s4d", "failed", reason, partial=partial)], tmp_path)
    text = (tmp_path / "report.html").read_text()
    page = Addresses()
    page.feed(text)
    assert page.tags.count("script") == 3
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text


def test_the_page_holds_what_is_known_of_each_run_and_points_to_it_from_its_cells(written):
    text = written["report.html"].read_text()
    (held,) = re.findall(r'id="runs-data">(.*?)</script>', text)
    data = json.loads(held)
    ids = {run["id"] for run in data["runs"]}
    linked = {name for names in re.findall(r'data-runs="([^"]*)"', text) for name in names.split()}
    assert ids == linked == {record.run_id for record in sweep()}
    facts = [dict(zip(data["names"], (data["texts"][n] for n in run["details"]), strict=True))
             for run in data["runs"]]  # fmt: skip
    killed = next(fact for fact in facts if fact["Outcome"] == "killed")
    assert (killed["Model"], killed["Seed"]) == ("transformer", "2")
    assert "signal 9" in killed["Reason"]
    assert facts[0]["Commit"].endswith("with uncommitted changes")
    assert max(len(run["loss"][0]) for run in data["runs"]) == runs.POINTS


def test_the_page_holds_the_numbers_behind_its_figures(written):
    (held,) = re.findall(r'id="figures-data">(.*?)</script>', written["report.html"].read_text())
    data = json.loads(held)
    assert len(data) == 8
    series = {name for _, name, _, _ in data["scores"]}
    assert {"s4d: mean", "s4d: interval", "s4d: seeds", "chance"} <= series
    assert {panel for panel, *_ in data["time"]} == {"scaling/forward", "scaling/train"}
    assert all(len(x) == len(y) > 0 for lines in data.values() for *_, x, y in lines)


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([], "There are no records here"),
        ([scored(0.5)], "1 of 1 runs have a result"),
        ([measured(1024, [0.1, 0.2])], "scaling/forward"),
        ([measured(1024, [0.1]), measured(4096, [0.4])], "Growth with length"),
        ([lost("synthetic/shift", "s4d", "killed", "Signal 9.")], "killed: Signal 9."),
        ([lost("scaling/train[length=8]", "s4d", "not-run", "Too long.")], "not-run: Too long."),
        ([blank("a/b", outcome="failed", protocol=None, reason="No plugin.")], "No plugin."),
    ],
)
def test_any_records_make_a_report(tmp_path, records, says):
    write(records, tmp_path)
    for name in ("report.html", "report.md"):
        text = (tmp_path / name).read_text().replace("\\", "")
        assert says in text
    assert (tmp_path / "scores.csv").read_text().startswith("task,model,")


def test_conditions_that_may_not_be_mixed_have_rows_of_their_own(tmp_path):
    write([scored(0.5), scored(0.9, protocol=Protocol(steps=7))], tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "| synthetic/shift (steps=1000) | accuracy | 0.100 | 0.500 ± 0.020 (n=1) |" in text
    assert "| synthetic/shift (steps=7) | accuracy | 0.100 | 0.900 ± 0.020 (n=1) |" in text


def test_conditions_whose_models_are_others_have_tables_of_their_own_and_need_no_longer_title(
    tmp_path,
):
    other = scored(0.9, model="gru", protocol=Protocol(steps=7))
    write([scored(0.5), scored(0.5, task="synthetic/cumsum"), other], tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "### Test scores: synthetic/shift\n" in text
    assert "| synthetic/shift | accuracy | 0.100 | 0.900 ± 0.020 (n=1) |" in text
    assert "| synthetic/shift | accuracy | 0.100 | 0.500 ± 0.020 (n=1) |" in text


def test_a_model_that_learned_a_task_by_two_paths_is_drawn_once_for_each(tmp_path):
    learned = [
        scored(score, model=model, seed=seed, path=path)
        for model, score in (("s4d", 0.9), ("transformer", 0.8))
        for seed, path in enumerate(("sdpa", "textbook"))
    ]
    write(learned, tmp_path)
    assert b"s4d, textbook" in (tmp_path / "figures" / "fronts.svg").read_bytes()


def test_the_page_says_where_the_numbers_come_from(written):
    page = written["report.html"].read_text()
    for text in ("0123456789abcdef", "uncommitted changes", "torch 2.13.0", "8.00 GiB"):
        assert text in page


def test_a_report_loads_no_torch():
    code = "import sys, harness.report.page, harness.report.figures; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "jaxtyping"} & set(done.stdout.split())
