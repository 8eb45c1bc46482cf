"""`harness.run` is `ssm-bench run` for scripts: protocol, plugins, limits and executor included."""

import runpy
import shutil
from pathlib import Path

import pytest

from harness import Protocol, load_model, run
from harness.api import SpecError

SHORT = Protocol(steps=1, batch=2, width=8, depth=1, evaluations=0)


def test_the_notebook_of_the_docs_runs(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = root / "docs" / "examples"
    shutil.copy(examples / "leaky.py", tmp_path)
    monkeypatch.chdir(tmp_path)

    seen = runpy.run_path(str(examples / "notebook.py"))

    assert seen["unfinished"] == {}
    assert {record.spec.protocol.width for record in seen["records"]} == {16}
    assert {record.limits.timeout_s for record in seen["records"]} == {600}
    assert set(seen["losses"]) == set(seen["scores"].columns) == {"leaky", "s4d[state=8]"}
    assert seen["scores"].notna().all(axis=None)


def test_a_whole_protocol_takes_the_place_of_the_tasks_own(tmp_path: Path) -> None:
    [record] = run("synthetic/cumsum[length=64]", "chance", protocol=SHORT, results=str(tmp_path))

    assert record.outcome == "ok", record.reason
    assert record.spec.protocol == SHORT


def test_an_executor_or_a_plugin_that_nobody_has_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"No executor is called 'moon'.* Known: local"):
        run("synthetic/cumsum", "chance", results=str(tmp_path), executor="moon")
    with pytest.raises(SpecError, match=r"no plugin file 'nowhere.py'"):
        run("synthetic/cumsum", "chance", results=str(tmp_path), plugins="nowhere.py")
    with pytest.raises(SpecError, match="No option of the protocol is called 'step'"):
        run("synthetic/cumsum", "chance", results=str(tmp_path), protocol={"step": 3})


def test_a_recipe_of_a_file_is_loaded_as_well(root: Path) -> None:
    leaky = load_model("leaky[decay=0.5]", plugins=[str(root / "docs" / "examples" / "leaky.py")])

    assert leaky.decay == 0.5
