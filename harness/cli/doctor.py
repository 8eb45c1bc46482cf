"""Says what this installation can do: instrument, versions, device, and what is missing for what.

The facts about torch come from a child, so that asking costs the parent no memory.
"""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from harness.measure import machine
from harness.measure.selftest import selftest
from harness.plugins.registry import registry

Status = Literal["ok", "missing", "wrong"]
CHECKOUT = Path(__file__).parents[2]
"""Where tests and the Makefile are, if this is a checkout and no installed package."""
DEVELOPMENT = {"asv": "regression tracking (make asv)", "playwright": "the browser tests"}
"""Modules that some parts of a checkout need, and which."""
FUSED = "fused attention"
OPERATORS = ("-m", "harness.measure.operators")
FACTS = "ssm_bench.facts"
"""Entry points by which packages of plugins say what they can do here: functions that return
whether something optional is there, and a clause on it. They should load nothing heavy."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TORCH_FACTS = """
import json, torch
cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
print(json.dumps({"version": torch.__version__, "threads": torch.get_num_threads(),
                  "capability": torch.backends.cpu.get_cpu_capability(), "cuda": cuda}))
"""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    status: Status
    subject: str
    said: str


def findings(plugins: tuple[str, ...] = ()) -> Iterator[Finding]:
    """Yield findings as they are made; `wrong` ones make results untrustworthy."""
    yield instrument()
    facts = machine.facts()
    dirty = " with uncommitted changes" if facts["dirty"] else ""
    yield Finding("ok", "code", (facts["commit"] or "not a git checkout") + dirty)
    yield Finding("ok", "packages", ", ".join(f"{k} {v}" for k, v in facts["packages"].items()))
    gib = facts["ram_bytes"] / 2**30
    yield Finding("ok", "machine", f"{facts['processor']}, {facts['cores']} cores, {gib:.0f} GiB")
    yield Finding("ok", "allocator", facts["allocator"])
    yield from torch_findings()
    yield from map(stated, entry_points(group=FACTS))
    development = (CHECKOUT / "tests").is_dir() and (CHECKOUT / "Makefile").is_file()
    if development:
        for module, purpose in DEVELOPMENT.items():
            yield presence(module, purpose, lambda name: importlib.util.find_spec(name) is not None)
        browser = any(shutil.which(name) for name in BROWSERS)
        yield presence("chromium", "the browser tests", lambda _: browser)
    for entry in registry(plugins).broken():
        yield Finding("wrong", f"{entry.kind} {entry.name}", f"{entry.error} ({entry.origin})")


def instrument() -> Finding:
    """Test the clock and the memory reading on known amounts."""
    test: dict[str, Any] = selftest()
    errors = f"memory within {test['memory_error']:.2%}, time within {test['time_error']:.2%}"
    return Finding(
        "wrong" if test["flags"] else "ok", "instrument", "; ".join([errors, *test["flags"]])
    )


def torch_findings() -> Iterator[Finding]:
    """Ask a child what torch sees, and another which operators of attention run."""
    facts = told("-c", TORCH_FACTS)
    if isinstance(facts, str):
        yield Finding("wrong", "torch", f"cannot be imported: {facts}")
        return
    said = f"{facts['version']}, {facts['threads']} threads, {facts['capability']}"
    yield Finding("ok", "torch", said)
    cuda = facts["cuda"]
    found = ", ".join(cuda) or "no device, so `--device cuda` is refused"
    yield Finding("ok" if cuda else "missing", "cuda", found)
    yield from attention_findings()


def told(*words: str) -> Any:
    """Return what a child writes as JSON, or else the last line of its complaint."""
    done = subprocess.run(
        machine.python(*words),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        return " ".join(done.stderr.strip().splitlines()[-1:]) or f"code {done.returncode}"
    return json.loads(done.stdout)


def attention_findings() -> Iterator[Finding]:
    """Say which operators of attention ran, for each device; torch's own one must."""
    trials = told(*OPERATORS)
    if isinstance(trials, str):
        yield Finding("wrong", FUSED, f"cannot be tried: {trials}")
        return
    for device in dict.fromkeys(each["device"] for each in trials):
        tried = [each for each in trials if each["device"] == device]
        kernels = "; ".join(f"{', '.join(each['ran'])} in {each['dtype']}" for each in tried)
        broken = next((each["fused"] for each in tried if each["fused"]), "")
        yield Finding("wrong" if broken else "ok", FUSED, f"{device}: {broken or kernels}")
        runs = [each["dtype"] for each in tried if not each["xformers"]]
        said = f"runs in {', '.join(runs)}" if runs else tried[0]["xformers"]
        yield Finding("ok" if runs else "missing", "xformers", f"{device}, if asked for: {said}")


def stated(fact: EntryPoint) -> Finding:
    """Say what a package of plugins says of itself."""
    try:
        there, said = fact.load()()
        return Finding("ok" if there else "missing", fact.name, str(said))
    except (Exception, SystemExit) as error:
        return Finding("wrong", fact.name, f"{type(error).__name__}: {error} ({fact.value})")


def presence(name: str, purpose: str, there: Callable[[str], bool]) -> Finding:
    """Say whether something optional is there, and what it is for."""
    return Finding("ok" if there(name) else "missing", name, f"for {purpose}")
