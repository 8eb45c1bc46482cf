"""The doctor tells what is wrong from what is merely missing."""

from harness import doctor
from harness.doctor import examine


def test_a_healthy_installation_has_nothing_wrong_but_perhaps_noise():
    found = {finding.subject: finding for finding in examine()}

    assert found["torch"].status == "ok"
    assert "torch 2" in found["packages"].said
    assert {"instrument", "code", "machine", "cuda"} <= found.keys()
    assert [f for f in found.values() if f.status == "wrong" and f.subject != "instrument"] == []


def test_an_instrument_that_is_off_is_wrong_and_says_by_how_much(monkeypatch):
    test = {"memory_error": 0.5, "time_error": 0.0, "flags": ["64 MB read as 96.0 MB"]}
    monkeypatch.setattr(doctor, "selftest", lambda: test)

    finding = doctor.instrument()

    assert finding.status == "wrong"
    assert "64 MB read as 96.0 MB" in finding.said


def test_what_is_missing_says_what_it_is_for(monkeypatch):
    monkeypatch.setattr(doctor, "OPTIONAL", {"no_such_module_here": "nothing at all"})

    finding = next(f for f in examine() if f.subject == "no_such_module_here")

    assert (finding.status, finding.said) == ("missing", "for nothing at all")


def test_a_broken_plugin_is_wrong(tmp_path):
    wreck = tmp_path / "wreck.py"
    wreck.write_text("def (")

    found = [f for f in examine((str(wreck),)) if f.subject == "model wreck"]

    assert found[0].status == "wrong"
    assert "SyntaxError" in found[0].said
