"""Whatever a person types is answered by one sentence, soon and in little memory."""

import pytest

from harness import cli
from harness.core.config import Limits, Protocol, Selector, parse_options
from harness.core.errors import SpecError
from harness.core.grid import parse_match
from harness.core.seeds import parse_seeds
from harness.plugins.registry import registry

RUN = ["run", "synthetic/shift", "-m", "s4d"]
NINES = "9" * 400


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*RUN, "--timeout", "inf"], "timeout_s must be from 0"),
        ([*RUN, "--timeout", "1e300"], "timeout_s must be from 0"),
        ([*RUN, "--memory-limit", NINES], "more than any machine has"),
        ([*RUN, "--seeds", NINES], "names no seeds"),
        ([*RUN, "--seeds", "999999999"], "more than 10,000 seeds"),
        ([*RUN, "--seeds", "1" + "-" * 100_000], "names no seeds"),
        ([*RUN, "--match", f"params={NINES}"], "no number of parameters"),
        ([*RUN, "--protocol", f"steps={NINES}"], "takes a value like"),
        ([*RUN, "--protocol", "steps=1e30"], "takes a value like"),
        ([*RUN, "--budget", NINES], "takes a value like"),
        (["run", "synthetic/shift", "-m", "s4d@" + "1" * 5000], "is not a name"),
        (["run", "synthetic/shift", "-m", "s4d" + "-" * 100_000], "No model is called"),
        (["run", "synthetic/shift", "-m", "a" * 300], "No model is called"),
        (["run", "synthetic/shift", "-m", "s4d[a=\x1b]"], "is not a name"),
        ([*RUN, "--plugin", "a" * 300], "File name too long"),
        (["compare", "a" * 300, "s4d"], "File name too long"),
        (["report", "--results", "a" * 300], "There are no records"),
    ],
)
def test_an_argument_beyond_all_measure_is_answered_by_one_sentence(
    words, says, monkeypatch, capsys
):
    monkeypatch.setattr("sys.argv", ["ssm-bench", *words])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert says in said
    assert len(said) < 500
    assert said.count("\n") == 1


@pytest.mark.parametrize("most", [0, 1.5, 9e9])
def test_limits_that_a_machine_can_keep_are_kept(most):
    assert Limits(timeout_s=most).timeout_s == most


def test_numbers_at_the_edge_are_what_they_were():
    assert parse_options(f"a={2**64},b=inf") == {"a": 2**64, "b": "inf"}
    assert parse_seeds("999999999-999999999") == (999_999_999,)
    assert parse_match("params=1.5M") == 1_500_000
    assert Selector("s4d@12").version == 12
    with pytest.raises(SpecError, match="takes a value like"):
        Protocol().changed({"lr": "inf"})


@pytest.mark.parametrize("text", ["-" * 100_000 + "1", "+".join("1" * 50_000), "\0", "["])
def test_a_plugin_file_that_no_parser_takes_is_listed_with_the_reason(tmp_path, text):
    file = tmp_path / "deep.py"
    file.write_text(f"x = {text}\n")

    [entry] = registry((str(file),)).broken()

    assert entry.name == "deep"
    assert entry.error
