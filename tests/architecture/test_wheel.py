"""What is installed from a wheel, without a checkout, is whole."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def installed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel of this tree into an empty environment; return that one's Python.

    What the project needs is seen there through this environment's folder, but not the checkout.
    """
    folder = tmp_path_factory.mktemp("wheel")
    files = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True
    )
    for name in files.stdout.splitlines():
        if (root / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / "source" / name)
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    # Without a compiler: it takes as long as all the rest, and the wheel must do without it too.
    subprocess.run(
        [sys.executable, "-m", "pip", *build, str(folder / "source")],
        check=True,
        capture_output=True,
        env={**os.environ, "CC": "false", "CXX": "false"},
    )
    venv.create(folder / "empty")
    site = next((folder / "empty" / "lib").glob("python*/site-packages"))
    (site / "outside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    [wheel] = folder.glob("*.whl")
    shutil.unpack_archive(wheel, site, "zip")
    return folder / "empty" / "bin" / "python"


def ssm_bench(python: Path, folder: Path, *words: str) -> list[dict[str, object]]:
    """Run a verb of what is installed, away from any checkout; return its lines of JSON."""
    done = subprocess.run(
        [python, "-P", "-m", "harness.cli", *words, "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={name: held for name, held in os.environ.items() if name != "PYTHONPATH"},
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_wheel_forecasts_from_the_published_records_and_runs(
    installed: Path, tmp_path: Path
) -> None:
    words = ("synthetic/shift[length=64]", "-m", "s4d", "--protocol", "steps=2,batch=2,width=8")
    forecast, _ = ssm_bench(installed, tmp_path, "run", *words, "--dry-run")
    [record] = ssm_bench(installed, tmp_path, "run", *words)

    assert forecast["seconds"]
    assert "scaling/train" in str(forecast["basis"])
    assert record["outcome"] == "ok", record["reason"]
    assert record["machine"]["commit"] == ""


def test_a_wheel_knows_what_papers_report(installed: Path, tmp_path: Path) -> None:
    found = ssm_bench(installed, tmp_path, "published", "lra/text", "-m", "lru")

    assert {"orvieto2023lru", "solozabal2025dfout"} == {row["source"] for row in found}


def test_a_wheel_has_the_claims_of_the_papers(installed: Path, tmp_path: Path) -> None:
    *runs, _ = ssm_bench(installed, tmp_path, "claim", "dlr-few-kernels", "--dry-run")

    assert {row["model"] for row in runs} == {"dlr", "transformer[heads=1]"}
