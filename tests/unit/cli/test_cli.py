"""The command line: a mistake is one sentence and code 2, and the start is light."""

import json
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness import cli
from harness.cli.runs import parse_bytes
from harness.core.errors import SpecError
from harness.plugins.registry import registry


def ssm_bench(*words, capsys=None):
    """Run the command line in this process; returns (exit code, stdout, stderr)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ssm-bench", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "synthetic/shft", "-m", "s4d"), "Did you mean 'synthetic/shift'"),
        (("run", "synthetic/shift", "-m", "s5d"), "Did you mean 's5'"),
        (("run", "synthetic/shift", "-m", "s4d[stat=3]"), "Did you mean 'state'"),
        (("run", "synthetic/shift", "-m", "s4d[state=three]"), "not 'three'"),
        (("run", "synthetic/shift", "-m", "s4d[state"), "is not a name"),
        (("run", "synthetic/shift@9", "-m", "s4d"), "has no version 9 here"),
        (("run", "synthetic/shift"), "Name tasks and models"),
        (("run", "--preset", "smok"), "Did you mean 'smoke'"),
        (
            ("run", "--preset", "smoke", "--protocol", "steps=1"),
            "protocols of its own",
        ),
        (("run", "speech", "--preset", "quickstart"), "has no run of speech"),
        (("run", "synthetic", "-m", "s4d", "--protocol", "stps=3"), "Did you mean 'steps'"),
        (("run", "synthetic", "-m", "s4d", "--protocol", "steps"), "write it as name=value"),
        (("run", "synthetic", "-m", "s4d", "--memory-limit", "much"), "is not a size"),
        (("run", "synthetic", "-m", "s4d", "--device", "gpu"), "Known: cpu, cuda"),
        (("run", "synthetic", "-m", "s4d", "--plugin", "nowhere.py"), "no plugin file"),
        (("list", "modles"), "Did you mean 'models'"),
        (("check", "s4q"), "Did you mean 's4'"),
        (("check",), "Name a model or a task to be checked, or give --all"),
        (("check", "s4d", "--all"), "Name a model or a task to be checked, or give --all"),
        (("cite", "chance"), "follows no paper"),
        (("new", "modle", "x"), "Did you mean 'model'"),
        (("new", "model", "Bad Name"), "Bad Name"),
        (("report", "--results", "nowhere"), "There are no records in 'nowhere'"),
        (("publish", "--results", "nowhere"), "There are no records in 'nowhere'"),
        (("compare", "s4d", "dlr", "--results", "nowhere"), "nowhere"),
        (("compare", "s4d", "dlr", "--fail-on", "time:-5%"), "time gets worse with +"),
        (("compare", "no-such:results", "dlr"), "names no folder at a git revision"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_with_code_2(words, said, capfd):
    code, out, err = ssm_bench(*words, capsys=capfd)

    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert out == ""
    assert len(err.strip().splitlines()) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize(
    "words",
    [
        ("run", "scaling/train", "-m", "s4d", "--device", "cuda"),
        ("run", "--preset", "smoke", "--device", "cuda", "--dry-run"),
        ("check", "chance", "--device", "cuda"),
        ("check", "--all", "--device", "cuda"),
    ],
)
def test_a_card_that_is_not_there_is_refused_by_every_verb_that_would_use_it(words, capfd):
    code, out, err = ssm_bench(*words, capsys=capfd)

    assert code == 2
    assert out == ""
    assert err.strip().endswith("no CUDA device here that torch can use; leave out --device cuda.")
    assert len(err.strip().splitlines()) == 1


def test_list_names_every_plugin_with_its_origin(capsys):
    code, out, _ = ssm_bench("list", capsys=capsys)

    assert code == 0
    for kind in ("model", "task", "preset"):
        for name in registry().of(kind):
            assert f"  {name} " in out


def test_list_as_json_is_for_scripts(capsys):
    _, out, _ = ssm_bench("list", "models", "--json", capsys=capsys)

    entries = json.loads(out)
    assert {entry["kind"] for entry in entries} == {"model"}
    assert {"name", "summary", "origin", "error"} <= entries[0].keys()


def test_a_broken_plugin_is_listed_with_its_error_and_the_others_stay(tmp_path, capsys):
    broken = tmp_path / "wreck.py"
    broken.write_text("def (")

    code, out, _ = ssm_bench("list", "models", "--plugin", str(broken), capsys=capsys)

    assert code == 0
    assert "model wreck: SyntaxError" in out
    assert "s4d" in out


def test_help_names_every_verb(capsys):
    _, out, _ = ssm_bench("--help", capsys=capsys)

    for verb in (
        "list",
        "run",
        "ab",
        "report",
        "compare",
        "check",
        "cite",
        "new",
        "doctor",
        "publish",
    ):
        assert verb in out


@pytest.mark.parametrize("words", ["--help", "list", "run --help", "doctor --help"])
def test_the_start_loads_nothing_heavy(words):
    code = (
        "import sys, atexit\n"
        f"sys.argv = ['ssm-bench', *{words.split()!r}]\n"
        "heavy = {'torch', 'pandas', 'scipy', 'matplotlib', 'numpy', 'lightning_fabric'}\n"
        "atexit.register(lambda: sys.stderr.write(f'loaded {sorted(heavy & set(sys.modules))}'))\n"
        "from harness.cli import main\n"
        "main()\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr == "loaded []"


@given(st.integers(1, 1000), st.sampled_from(["", "K", "M", "G", "GiB", "mb"]))
def test_a_size_is_read_in_powers_of_1024(number, unit):
    power = {"": 0, "k": 1, "m": 2, "g": 3}[unit[:1].lower()]

    assert parse_bytes(f"{number}{unit}") == number * 1024**power


@pytest.mark.parametrize("text", ["lots", "6 apples", "-1G", ""])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(SpecError, match="write it like 6G"):
        parse_bytes(text)


def test_the_version_is_that_of_the_package(capsys):
    assert ssm_bench("--version", capsys=capsys)[:2] == (0, f"ssm-bench {harness.__version__}\n")


def test_the_shell_can_complete_verbs_and_options(capsys, monkeypatch):
    # Else the shell is not the one that is named but the one that runs these tests.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    code, out, _ = ssm_bench("--show-completion", "bash", capsys=capsys)

    assert (code, "complete" in out) == (0, True)
