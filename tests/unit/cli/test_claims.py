"""`ssm-bench claim` prints what was decided, and its exit code says it."""

import json
import sys

import pytest
from msgspec import structs

from harness import cli
from harness.core.messages import Plan
from harness.results import claims as shipped
from harness.results.claims import PaperClaim
from harness.runner import claims as module
from tests.unit.report.made_records import planned
from tests.unit.runner.test_claims import LINE, apart, asked, noise, scripted  # noqa: F401


@pytest.fixture
def claim(monkeypatch, capsys, tmp_path):
    """Run the verb on planned runs; returns its exit code, output and errors."""
    monkeypatch.setattr(module, "plan", lambda sweep: Plan(runs=list(asked(4).runs)))

    def run(*words):
        words = ("claim", *words, "--results", str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["ssm-bench", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("scores", "code", "answer"),
    [
        (
            apart,
            0,
            "Holds: mamba has 0.9 and s4d 0.501 over 3 seeds; the first less",
        ),
        (lambda model, seed: 1 - apart(model, seed), 1, "Fails: mamba has 0.1 and s4d 0.499"),
        (
            noise,
            3,
            "Undecided: mamba has 0.5 and s4d 0.5 over 4 seeds; the first less",
        ),
    ],
)
def test_a_claim_is_answered_by_a_sentence_and_an_exit_code(claim, scripted, scores, code, answer):  # noqa: F811
    scripted(scores)

    ended, out, _ = claim(LINE)

    assert ended == code
    assert answer in out
    assert f"{8 if code == 3 else 6} runs, in" in out


def test_a_script_gets_one_line_of_json(claim, scripted):  # noqa: F811
    scripted(apart)

    _, out, err = claim(LINE, "--json")

    found = json.loads(out)
    assert (found["answer"], found["seeds"], found["claim"]["text"]) == ("holds", [0, 1, 2], LINE)
    assert "Holds: " in err


def test_all_claims_of_papers_are_tested_save_those_that_cannot_be(claim, scripted, monkeypatch):  # noqa: F811
    scripted(apart)
    first = PaperClaim(name="first", claim=LINE, where="abstract", says="So.")
    other = structs.replace(first, name="other", untestable="nobody can.")
    monkeypatch.setattr(shipped, "paper_claims", lambda: {"first": first, "other": other})

    code, out, err = claim("--all")

    assert code == 0
    assert f"first: {LINE}" in out
    assert "other cannot be tested: nobody can." in err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "Give a claim"),
        ((LINE, "--executor", "local[jobs=1]", "--jobs", "1"), "leave --jobs out"),
        (("dlr-few-kernel",), "Did you mean 'dlr-few-kernels'"),
        (("birdie-retrieval",), "cannot be tested: the procedure is here"),
        ((LINE, "--budget", "soon"), "is no time"),
        (("scaling > s4d on synthetic/shift",), "No model is called"),
        ((LINE, "--protocol", "stepz=3"), "Did you mean 'steps'"),
    ],
)
def test_what_cannot_be_tested_is_told_in_a_sentence(claim, words, complaint):
    code, _, err = claim(*words)

    assert code == 2
    assert complaint in err


def test_two_names_of_one_model_are_told_before_anything_is_run(claim, monkeypatch):
    monkeypatch.setattr(module, "plan", lambda sweep: Plan(runs=[planned()]))

    code, _, err = claim("s4d > s4d[state=64] on synthetic/shift")

    assert code == 2
    assert "are one model" in err


def test_the_runs_of_a_claim_go_where_those_of_a_sweep_would(claim, scripted, monkeypatch):  # noqa: F811
    scripted(noise)
    seen, question = [], module.question

    def asked_where(claim, sweep):
        seen.append(sweep.executor)
        return question(claim, sweep)

    monkeypatch.setattr(module, "question", asked_where)
    claim(LINE, "--jobs", "1", "--isolation", "fresh")

    assert [str(each) for each in seen] == ["local[isolation=fresh,jobs=1]"]
