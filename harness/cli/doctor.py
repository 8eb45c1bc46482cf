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
OPTIONAL = {"xformers": "attention on CUDA"}
"""Modules that some parts need, and which."""
DEVELOPMENT = {"asv": "regression tracking (make asv)", "playwright": "the browser tests"}
"""The same of what only a checkout has."""
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
    for module, purpose in {**OPTIONAL, **(DEVELOPMENT if development else {})}.items():
        yield presence(module, purpose, lambda name: importlib.util.find_spec(name) is not None)
    if development:
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
    """Ask a child what torch sees."""
    done = subprocess.run(
        machine.python("-c", TORCH_FACTS),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        yield Finding("wrong", "torch", f"cannot be imported: {' '.join(last)}")
        return
    facts = json.loads(done.stdout)
    said = f"{facts['version']}, {facts['threads']} threads, {facts['capability']}"
    yield Finding("ok", "torch", said)
    cuda = facts["cuda"]
    found = ", ".join(cuda) or "no device, so `--device cuda` is refused"
    yield Finding("ok" if cuda else "missing", "cuda", found)


def stated(fact: EntryPoint) -> Finding:
    """Say what a package of plugins says of itself."""
    try:
        there, said = fact.load()()
    except (ImportError, AttributeError) as error:
        return Finding("wrong", fact.name, f"{type(error).__name__}: {error} ({fact.value})")
    return Finding("ok" if there else "missing", fact.name, said)


def presence(name: str, purpose: str, there: Callable[[str], bool]) -> Finding:
    """Say whether something optional is there, and what it is for."""
    return Finding("ok" if there(name) else "missing", name, f"for {purpose}")
