"""Text of records is shown and never obeyed: by Markdown, a spreadsheet, a terminal, a figure."""

import csv
import io

import msgspec
import pytest
from markdown_it import MarkdownIt

from harness.cli.process import inert
from harness.cli.terminal import Terminal
from harness.core.record import Memory
from harness.report import formats, write
from harness.report.canvas import finished, panels
from harness.report.tables import Table, Text
from harness.results.compare import compare
from tests.unit.report.made_records import MACHINE, blank, measured, scored

MARKUP = (
    "</td><script>alert(1)</script><img src=x onerror=alert(1)>",
    "[click](javascript:alert(1)) ![see](https://example.org/track.png)",
    "<https://example.org/> https://example.org www.example.org",
    "a | b | c\n\n# Heading\n\n```sh\nrm -rf ~\n```\n[1]: https://example.org",
    "&lt;script&gt; &#60;b&#62; \\<i\\> `code` **bold** ~~gone~~",
)
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\rover"


def test_a_cell_of_csv_is_no_formula_and_numbers_stay_numbers():
    texts = ["=HYPERLINK(1)", "+1+cmd", "-2+cmd|'/C calc'!A0", "@SUM(1)", "\t=1"]
    kept = ["-0.5 0.25", "-1e-05", "s4d[a=-1]", "", -3, -0.5]
    rows = [{"reason": value} for value in (*texts, *kept)]

    read = [row["reason"] for row in csv.DictReader(io.StringIO(formats.as_csv(["reason"], rows)))]

    assert read == [f"'{text}" for text in texts] + [str(value) for value in kept]


def test_the_first_sentence_of_a_report_is_no_markup(tmp_path):
    write([scored(0.5, model="s4d[note=*a*<img>]")], tmp_path)

    said = (tmp_path / "report.md").read_text()
    assert r"s4d\[note=\*a\*\<img\>\] on 1 tasks" in said
    assert "<img>" not in said


def test_a_terminal_shows_escape_sequences_and_obeys_none():
    out = io.StringIO()
    terminal = Terminal(file=out, force_terminal=True, width=60, color_system="truecolor")
    table = Table(title=ESCAPES, columns=(ESCAPES,), rows=((Text(ESCAPES, best=True),),), note="")

    terminal.say(ESCAPES)
    terminal.print(formats.for_terminal(table))

    assert "owned" in out.getvalue()
    assert "\x1b[1m" in out.getvalue(), "styles are rich's own"
    for obeyed in ("\x1b]0", "\x07", "\x1b[2J", "\x9b", "\r"):
        assert obeyed not in out.getvalue()
    assert inert(f"{ESCAPES}\n") == "?]0;owned??[2J?31m?over\n"


def test_dollars_in_a_name_are_no_formula_of_a_figure():
    with panels(1) as (figure, [axis]):
        axis.plot([0, 1], [0, 1], label=r"s4d[mode=$\frac$]")
        axis.set(title=r"task[a=$\frac$,b=$x$]")
        axis.set_yticks([0], [r"$\frac$"])
        axis.legend()
        assert finished(figure, name="n", title="t", alt="a") is not None


def test_a_peak_or_a_time_of_nothing_has_no_ratio():
    def made(peak, call_s):
        memory = Memory(peak_bytes=peak, delta_bytes=0, method="none")
        record = measured(1024, [1.0])
        found = msgspec.structs.replace(record.measured, call_s=[call_s] * 5)
        return msgspec.structs.replace(record, memory=memory, measured=found)

    for a, b in [((0, 0.0), (5, 1.0)), ((5, 1.0), (0, 0.0)), ((0, 0.0), (0, 0.0))]:
        [change] = compare([made(*a)], [made(*b)]).changes
        assert change.peak_bytes is None
        assert change.seconds is None


@pytest.mark.parametrize("text", MARKUP)
def test_markdown_shows_what_a_record_says_letter_by_letter(text, tmp_path):
    lost = blank(outcome="failed", reason=text, learned=None)
    machine = {**MACHINE, "processor": text}
    write(
        [scored(0.5), lost, scored(0.5, seed=1, machine=machine)], tmp_path, [f"Left out: {text}"]
    )
    read = MarkdownIt("commonmark").enable(["table", "strikethrough"])

    tokens = read.parse((tmp_path / "report.md").read_text())
    inline = [token for block in tokens for token in block.children or []]

    kinds = {token.type for token in (*tokens, *inline)}
    shown = " ".join(token.content for token in inline if token.type == "text")
    addresses = [token.attrs["src"] for token in inline if token.type == "image"]
    assert not kinds & {"html_block", "html_inline", "link_open", "code_inline", "fence", "s_open"}
    assert all(address.startswith("figures/") for address in addresses)
    assert " ".join(text.split()) in shown
    assert "https://example.org" not in (tmp_path / "report.md").read_text()
