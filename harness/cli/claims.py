"""The verb that tests claims, and what a person sees of it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import (
    LOCAL,
    AsJson,
    Device,
    Plugins,
    Results,
    app,
    known_device,
    tell_faults,
)
from harness.cli.runs import (
    Executor,
    Isolation,
    Jobs,
    chosen_executor,
    parse_seconds,
    protocol_changes,
)
from harness.core.errors import SpecError, unknown

if TYPE_CHECKING:
    from harness.cli.progress import SweepDisplay
    from harness.results.claims import Claim
    from harness.results.decisions import Decision
    from harness.runner.sweep import Sweep


@app.command()
def claim(
    line: Annotated[
        str, typer.Argument(help="'mamba > s4d on retrieval/mqar', or the name of a paper's claim.")
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="Every claim of the papers.")] = False,
    protocol: Annotated[str, typer.Option(help="Change the protocol: 'steps=200,batch=16'.")] = "",
    match: Annotated[
        str, typer.Option(help="Choose each width so that models match: 'params=200k'.")
    ] = "",
    sweep: Annotated[
        list[str], typer.Option(help="Choose on validation: 'lr_scale=0.3,1,3'; repeat.")
    ] = [],  # noqa: B006
    budget: Annotated[str, typer.Option(help="Time for each claim: 90s, 20min, 2h.")] = "20min",
    max_seeds: Annotated[int, typer.Option(min=3, help="The most seeds.")] = 10,
    device: Device = "cpu",
    results: Results = LOCAL,
    executor: Executor = "",
    jobs: Jobs = None,
    isolation: Isolation = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would run, and what it would take.")
    ] = False,
    plugin: Plugins = [],  # noqa: B006
    json: AsJson = False,
) -> None:
    """Test a claim: add seeds until it holds (exit 0), fails (1), or stays undecided (3)."""
    from harness.runner.sweep import Sweep

    known_device(device)
    changes = protocol_changes(protocol, match, "", sweep)
    asked = ClaimTest(
        sweep=Sweep(
            runs=(),
            results=str(results),
            plugins=tuple(plugin),
            executor=chosen_executor(executor, jobs=jobs, isolation=isolation),
        ),
        budget_s=parse_seconds(budget),
        seeds=max_seeds,
        device=device,
        json=json,
    )
    test = asked.forecast if dry_run else asked.decide
    codes = {test(name, each.over(changes)) for name, each in chosen(line, every).items()}
    sys.exit(next((code for code in (1, 3) if code in codes), 0))


def chosen(line: str, every: bool) -> "Mapping[str, Claim]":
    """Return what is to be tested, by its name or its line; say what of all cannot be.

    Raises:
        SpecError: The line is neither a claim nor the name of one that can be tested.
    """
    from harness.results.claims import RELATION, paper_claims, parse_claim

    if bool(line) == every:
        raise SpecError("Give a claim, such as 'mamba > s4d on retrieval/mqar', or --all.")
    if RELATION.search(line):
        return {"": parse_claim(line)}
    known = paper_claims()
    if not every and line not in known:
        raise unknown("claim", line, list(known))
    asked = known if every else {line: known[line]}
    untestable = [
        f"{name} cannot be tested: {each.untestable}"
        for name, each in asked.items()
        if each.untestable
    ]
    if untestable and not every:
        raise SpecError(untestable[0])
    for sentence in untestable:
        typer.echo(sentence, err=True)
    return {name: each.parsed for name, each in asked.items() if not each.untestable}


@dataclass(frozen=True, kw_only=True)
class ClaimTest:
    """How claims are tested."""

    sweep: "Sweep"
    budget_s: float
    seeds: int
    device: str
    json: bool

    def forecast(self, name: str, claim: "Claim") -> int:
        """Show what a claim would need at most; return the exit code."""
        from harness.cli.dry_run import show_dry_run
        from harness.runner.claims import claimed
        from harness.runner.sweep import plan

        if not self.json:
            typer.echo(titled(name, claim))
        sweep = claimed(claim, self.seeds, self.sweep, self.device)
        return show_dry_run(sweep, plan(sweep, requirements=True), self.json)

    def decide(self, name: str, claim: "Claim") -> int:
        """Run seeds until a claim is decided, and show them; return the exit code."""
        from harness.cli.progress import SweepDisplay
        from harness.cli.terminal import Terminal
        from harness.core import codec
        from harness.measure.clock import now
        from harness.results.store import Store
        from harness.runner.claims import claimed, question, rounds

        console, began = Terminal(stderr=self.json), now()
        console.say(titled(name, claim))
        tell_faults(Store(self.sweep.results))
        sweep = claimed(claim, self.seeds, self.sweep, self.device)
        asked = question(claim, sweep)
        display = SweepDisplay(console, len(asked.runs))
        decision = asked.decide([])
        try:
            with display:
                for decision in rounds(asked, sweep, display, self.budget_s):
                    console.say(decision.sentence)
        except KeyboardInterrupt:
            console.say(f"Interrupted: what was run is stored in {sweep.results}.")
            raise
        console.say(closing_line(decision, display, now() - began))
        if self.json:
            typer.echo(codec.encode({"name": name, **vars(decision)}))
        return decision.code


def titled(name: str, claim: "Claim") -> str:
    """Write a claim's line behind its name, if it has one."""
    return f"{name}: {claim.text}" if name else claim.text


def closing_line(decision: "Decision", display: "SweepDisplay", seconds: float) -> str:
    """Say what tasks gave where they are several, how many runs it took, and how long."""
    from harness.report import units

    rows = [
        f"  {task.task}: {task.metric} {task.mean_a:.4g} against {task.mean_b:.4g}"
        for task in decision.tasks
    ]
    total = sum(display.counts.values())
    before = f", {display.stored} of them stored before" if display.stored else ""
    closing = f"{total} runs{before}, in {units.seconds(seconds)}."
    return "\n".join([*(rows if len(rows) > 1 else []), closing])
