"""The doctor tells what is wrong from what is merely missing."""

import json
import re
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from baselines.ops.kernels import installed
from baselines.ops.scans import native
from harness.cli import doctor
from harness.cli.doctor import findings


def test_a_healthy_installation_has_nothing_wrong_but_perhaps_noise():
    found = {finding.subject: finding for finding in findings()}

    assert found["torch"].status == "ok"
    assert "torch 2" in found["packages"].said
    assert {"instrument", "code", "machine", "cuda", "xformers", "selective-scan"} <= found.keys()
    assert found["fused attention"].said.startswith("cpu: flash")
    assert [f for f in found.values() if f.status == "wrong" and f.subject != "instrument"] == []


def test_an_instrument_that_is_off_is_wrong_and_says_by_how_much(monkeypatch):
    test = {"memory_error": 0.5, "time_error": 0.0, "flags": ["64 MB read as 96.0 MB"]}
    monkeypatch.setattr(doctor, "selftest", lambda: test)

    finding = doctor.instrument()

    assert finding.status == "wrong"
    assert "64 MB read as 96.0 MB" in finding.said


def test_a_torch_that_cannot_be_imported_is_wrong_and_says_why(monkeypatch):
    monkeypatch.setattr(doctor, "TORCH_FACTS", "import no_such_torch")

    [finding] = doctor.torch_findings()

    assert (finding.status, finding.subject) == ("wrong", "torch")
    assert (
        finding.said == "cannot be imported: ModuleNotFoundError: No module named 'no_such_torch'"
    )


def test_attention_is_told_of_by_what_ran_and_not_by_what_is_installed(monkeypatch):
    """The answer of a machine whose xformers was built for another CUDA."""
    refused = "No operator found for `memory_efficient_attention_forward`"
    cpu = {"device": "cpu", "fused": "", "ran": ["flash", "unfused"], "xformers": refused}
    cuda = {"device": "cuda", "fused": "", "ran": ["flash", "cuDNN"], "xformers": refused}
    trials = [{**where, "dtype": dtype} for where in (cpu, cuda) for dtype in ("float32", "half")]
    monkeypatch.setattr(doctor, "OPERATORS", ("-c", f"print({json.dumps(json.dumps(trials))})"))

    found = list(doctor.attention_findings())

    assert [each.status for each in found] == ["ok", "missing"] * 2
    assert found[2].said == "cuda: flash, cuDNN in float32; flash, cuDNN in half"
    assert found[3].said == f"cuda, if asked for: {refused}"

    trials[2]["fused"] = "CUDA error: no kernel image"
    monkeypatch.setattr(doctor, "OPERATORS", ("-c", f"print({json.dumps(json.dumps(trials))})"))
    assert list(doctor.attention_findings())[2].status == "wrong"


@pytest.fixture
def untested(monkeypatch):
    """Leave out the findings that a child takes seconds to make."""
    monkeypatch.setattr(doctor, "torch_findings", lambda: iter(()))


def test_what_is_missing_says_what_it_is_for(monkeypatch, untested):
    monkeypatch.setattr(doctor, "DEVELOPMENT", {"no_such_module_here": "nothing at all"})

    finding = next(f for f in findings() if f.subject == "no_such_module_here")

    assert (finding.status, finding.said) == ("missing", "for nothing at all")


def test_a_broken_plugin_is_wrong(tmp_path, untested):
    wreck = tmp_path / "wreck.py"
    wreck.write_text("def (")

    found = [f for f in findings((str(wreck),)) if f.subject == "model wreck"]

    assert found[0].status == "wrong"
    assert "SyntaxError" in found[0].said


def test_it_says_whether_the_compiled_operator_runs_and_with_which_instructions(monkeypatch):
    facts = {fact.name: fact for fact in doctor.entry_points(group=doctor.FACTS)}
    finding = doctor.stated(facts["selective-scan"])
    if native.library() is None:
        assert (finding.status, finding.said[:12]) == ("missing", "not compiled")
    else:
        assert (finding.status, finding.said) == ("ok", f"compiled, {native.level()}")

    monkeypatch.setenv("SSM_BENCH_NATIVE", "0")
    assert doctor.stated(facts["selective-scan"]).status == "missing"


@pytest.mark.parametrize("value", ["no_such_module_here:fact", "harness.cli.doctor:no_such_fact"])
def test_a_package_that_cannot_say_anything_is_wrong(value):
    finding = doctor.stated(EntryPoint("thing", value, doctor.FACTS))

    assert finding.status == "wrong"
    assert value in finding.said


@pytest.mark.parametrize(
    ("switch", "there", "ok", "said"),
    [
        ("triton", "", False, "not installed, so a GPU would run torch alone"),
        ("triton", "triton", True, "kernels on a GPU by triton 3"),
        ("torch", "triton", False, "no kernels, so a GPU runs torch alone; .*KERNELS: triton"),
        ("triton", "triton fla", True, "by triton 3; installed and not asked for by .*: fla"),
        ("fla,triton", "triton fla", True, "by triton 3, fla 3$"),
        ("fla", "triton fla", True, "by fla 3; installed and not asked for by .*: triton"),
    ],
)
def test_it_says_whose_kernels_would_run_on_a_gpu(switch, there, ok, said, monkeypatch):
    monkeypatch.setenv("SSM_BENCH_KERNELS", switch)
    monkeypatch.setattr(installed, "is_installed", lambda name: name in there.split())
    monkeypatch.setattr(installed, "version", lambda name: "3")
    assert installed.fact()[0] == ok
    assert re.search(said, installed.fact()[1])


@pytest.mark.parametrize("module", ["scans.native", "kernels.installed"])
def test_asking_after_compiled_operators_loads_no_torch(module):
    code = (
        f"import sys; from baselines.ops.{module} import fact\n"
        "assert fact()[1]; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_installed_package_promises_nothing_that_only_a_checkout_has(
    tmp_path, monkeypatch, untested
):
    monkeypatch.setattr(doctor, "CHECKOUT", tmp_path)

    assert not {"asv", "chromium", "playwright"} & {finding.subject for finding in findings()}
