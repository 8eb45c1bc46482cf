import builtins
import subprocess
import sys
import urllib.error
import urllib.request
from threading import Thread

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from harness.core.errors import SpecError
from harness.report import write
from harness.report.latex import latex
from harness.report.live import server
from harness.report.tables import Table, Text
from harness.results.store import Store
from tests.unit.report.made_records import scored, sweep

HOSTILE = r"\input{secret} 50% of x_1 & ~ ^ # {}"


def test_latex_reads_nobodys_text_as_a_command():
    row = (Text(HOSTILE), Text("[1, 2]"), Text("0.9 ± 0.1", best=True), Text("—", missing=True))
    text = latex([Table(title="A_b", columns=("Task", "a", "b", "c"), rows=(row,), note="50 %.")])
    assert r"\caption{A\_b. 50 \%.}" in text
    assert r"\begin{tabular}{lrrr}" in text
    assert r"\textbackslash{}input\{secret\} 50\% of x\_1 \& \textasciitilde{}" in text
    assert r"\# \{\} & {[1, 2]} & \textbf{0.9 $\pm$ 0.1} & \emph{---} \\" in text


def test_a_report_is_written_in_the_formats_that_are_asked_for(tmp_path):
    names = {path.name for path in write(sweep(), tmp_path, forms=("latex", "csv"))}
    assert names == {"report.tex", "scores.csv", "scaling.csv", "literature.csv"}
    text = (tmp_path / "report.tex").read_text()
    assert text.count(r"\begin{tabular}") == text.count(r"\toprule") > 5
    assert text.isascii()


def test_tables_and_numbers_are_written_without_drawing_a_figure(tmp_path):
    code = (
        "import sys; from pathlib import Path; from harness.report import write;"
        "from tests.unit.report.made_records import sweep;"
        "write(sweep(), Path(sys.argv[1]), forms=('csv', 'latex'));"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert (tmp_path / "report.tex").exists()


def test_a_format_that_is_not_known_is_named_with_those_that_are(tmp_path):
    with pytest.raises(SpecError, match=r"'docx'.*latex"):
        write([scored(0.5)], tmp_path, forms=("docx",))


def test_parquet_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.partition(".")[0] in {"pyarrow", "fastparquet"}:
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SpecError, match=r"pyarrow.*ssm-bench\[parquet\]"):
        write([scored(0.5)], tmp_path, forms=("parquet",))


def test_parquet_holds_what_the_csv_files_hold(tmp_path):
    write([*sweep(), scored(0.5)], tmp_path, forms=("csv", "parquet"))
    for name in ("scores", "scaling", "literature"):
        table = pd.read_parquet(tmp_path / f"{name}.parquet")
        assert_frame_equal(table, pd.read_csv(tmp_path / f"{name}.csv"))
    assert {len(pd.read_parquet(path)) > 0 for path in tmp_path.glob("s*.parquet")} == {True}


@pytest.fixture
def served(tmp_path):
    """Serve a page of one record; gives its store and a function that asks for a path."""
    store = Store(tmp_path)
    store.append(scored(0.5))
    with server(store) as serving:
        Thread(target=serving.serve_forever, daemon=True).start()

        def ask(path, **headers):
            address = f"http://127.0.0.1:{serving.server_port}{path}"
            with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
                return answer.read().decode()

        yield store, ask
        serving.shutdown()


def test_the_served_page_is_made_again_when_a_record_is_added(served):
    store, ask = served
    before, page = ask("/version"), ask("/")
    assert f'data-live="{before}"' in page
    assert "connect-src 'self'" in page
    assert "1 of 1 runs" in page
    assert ask("/version") == before
    store.append(scored(0.6, seed=1))
    assert ask("/version") != before
    assert "2 of 2 runs" in ask("/")


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/other", {}), ("/../secret", {}), ("/", {"Host": "elsewhere.example:80"})],
)
def test_nothing_else_is_served_and_to_no_other_name(served, path, headers):
    _, ask = served
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(path, **headers)
    refused.value.close()
    assert refused.value.code == 404


def test_a_port_that_is_taken_is_said_to_be(served, tmp_path):
    with server(Store(tmp_path)) as first, pytest.raises(SpecError, match="choose another"):
        server(Store(tmp_path), first.server_port)
