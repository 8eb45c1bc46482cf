"""The verbs that plan and make runs."""

import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated

import typer

from harness.cli.app import LOCAL, AsJson, Device, Plugins, Results, app, known_device
from harness.core.config import (
    MOST_BYTES,
    Limits,
    Option,
    Protocol,
    RunSpec,
    Selector,
    parse_options,
)
from harness.core.errors import SpecError, quoted
from harness.core.grid import settled
from harness.core.messages import Keeping
from harness.core.seeds import parse_seeds

TIMEOUT = (
    "Seconds a run may take; 0: any. Fetching and drawing its data do not count, unless a file or "
    "a shard takes longer than 10 minutes."
)
Executor = Annotated[
    str,
    typer.Option(
        help="Where runs are executed; its options are written like a model's.",
        show_default="local",
    ),
]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Trainings side by side: the executor's option jobs.")
]
Isolation = Annotated[
    str,
    typer.Option(
        help="Whether a training has a process that imports torch anew: fresh, or warm.",
        show_default="warm",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would run, and what it would take.")
]


Match = Annotated[str, typer.Option(help="Choose each width so that models match: 'params=200k'.")]
Budget = Annotated[
    str, typer.Option(help="Train for so long and not for so many steps: 90s, 10min.")
]
Tried = Annotated[list[str], typer.Option(help="Choose on validation: 'lr_scale=0.3,1,3'; repeat.")]
Vary = Annotated[
    str, typer.Option(help="What a seed decides: init, data or both.", show_default="init")
]
Devices = Annotated[
    int | None,
    typer.Option(
        min=1, max=1024, help="Devices that train together, a batch on each.", show_default="1"
    ),
]
Strategy = Annotated[str, typer.Option(help="How they share the work.", show_default="ddp")]
Pretrain = Annotated[
    str,
    typer.Option(help="Train on inputs first: self; on texts also ntp, ul2, fixed, birdie."),
]
Seeds = Annotated[
    str, typer.Option(help="How many seeds, such as 3, or which: 0,4-6.", show_default="1")
]
Preset = Annotated[str, typer.Option(help="A named list of runs; tasks and -m choose among them.")]
Checkpoint = Annotated[
    str, typer.Option(help="Every 60s, say, keep what a killed run goes on from.")
]
KeepWeights = Annotated[
    bool, typer.Option("--keep-weights", help="Keep each network, for `predict`.")
]
ToLog = Annotated[
    str, typer.Option(help="Where trainings tell of themselves: tensorboard, mlflow=URI.")
]


@app.command()
def run(
    tasks: Annotated[
        list[str] | None, typer.Argument(help="Tasks or suites, such as synthetic/shift or lra.")
    ] = None,
    model: Annotated[
        list[str], typer.Option("-m", "--model", help="A model, such as 's4d[state=32]'; repeat.")
    ] = [],  # noqa: B006
    preset: Preset = "",
    seeds: Seeds = "",
    protocol: Annotated[str, typer.Option(help="Change the protocol: 'steps=200,batch=16'.")] = "",
    match: Match = "",
    budget: Budget = "",
    sweep: Tried = [],  # noqa: B006
    vary: Vary = "",
    pretrain: Pretrain = "",
    device: Device = "cpu",
    devices: Devices = None,
    strategy: Strategy = "",
    results: Results = LOCAL,
    timeout: Annotated[float, typer.Option(min=0, help=TIMEOUT)] = 0,
    memory_limit: Annotated[str, typer.Option(help="Memory a run may use, such as 6G.")] = "0",
    checkpoint: Checkpoint = "",
    keep_weights: KeepWeights = False,
    log: ToLog = "",
    again: Annotated[bool, typer.Option("--again", help="Repeat what is stored, too.")] = False,
    executor: Executor = "",
    jobs: Jobs = None,
    isolation: Isolation = "",
    dry_run: DryRun = False,
    plugin: Plugins = [],  # noqa: B006
    json: AsJson = False,
) -> None:
    """Run models on tasks, each run in its own process; what is stored is not run again."""
    from harness.cli.progress import show_sweep
    from harness.runner.sweep import Sweep, plan

    if preset and protocol:
        raise SpecError("A preset has protocols of its own; leave --protocol out beside it.")
    changes = protocol_changes(protocol, match, budget, sweep)
    asked_for = {"vary": vary, "pretrain": pretrain, "devices": devices, "strategy": strategy}
    changes |= {name: value for name, value in asked_for.items() if value}
    Protocol().changed(changes)
    asked = Sweep(
        runs=requested(tasks or [], model, preset, seeds, device, plugin),
        results=str(results),
        plugins=tuple(plugin),
        limits=Limits(timeout_s=timeout, memory_bytes=parse_bytes(memory_limit)),
        keeping=kept(checkpoint, keep_weights, log),
        executor=chosen_executor(executor, jobs=jobs, isolation=isolation),
        changes=changes,
        again=again,
    )
    if dry_run:
        from harness.cli.dry_run import show_dry_run

        sys.exit(show_dry_run(asked, plan(asked, requirements=True), json))
    sys.exit(show_sweep(asked, plan(asked), json))


def chosen_executor(text: str, **given: int | str | None) -> str:
    """Return an executor with its options, some of which may be given beside it.

    Raises:
        SpecError: It has one already.
    """
    from harness.runner.executors import DEFAULT

    chosen = Selector(text or DEFAULT)
    asked = {name: value for name, value in given.items() if value}
    for name in asked.keys() & chosen.options.keys():
        raise SpecError(f"{chosen!r} says its {name} already; leave --{name} out beside it.")
    return Selector.of(chosen.name, {**chosen.options, **asked}, chosen.version)


def requested(
    tasks: list[str], models: list[str], preset: str, seeds: str, device: str, plugins: list[str]
) -> tuple[RunSpec, ...]:
    """Return the runs of a preset, all or those that patterns name, or those of the patterns.

    Raises:
        SpecError: Something has no such name, or there is nothing to run.
    """
    from harness.runner.sweep import preset_runs, requests

    known_device(device)
    if preset:
        own = parse_seeds(seeds) if seeds else None
        return preset_runs(preset, own, device, tasks=tasks, models=models)
    if tasks and models:
        chosen = parse_seeds(seeds or "1")
        return requests(tasks, models, seeds=chosen, device=device, plugins=tuple(plugins))
    raise SpecError("Name tasks and models, as in `ssm-bench run synthetic -m s4d`, or a --preset.")


def kept(checkpoint: str, weights: bool, log: str) -> Keeping:
    """Return what each training leaves on the disk, as three options say.

    Raises:
        SpecError: One cannot be read.
    """
    every = parse_seconds(checkpoint) if checkpoint else 0
    return Keeping(checkpoint_s=every, weights=weights, log=known_log(log))


def known_log(name: str) -> str:
    """Return where trainings tell of themselves.

    Raises:
        SpecError: Nobody knows the place, or what writes there is not installed.
    """
    found = Keeping(log=name).log
    if found == "tensorboard" and not any(map(find_spec, ("tensorboardX", "tensorboard"))):
        raise SpecError(
            "--log tensorboard needs tensorboardX, which is not installed; "
            "`pip install 'ssm-bench[tensorboard]'`."
        )
    return found


def protocol_changes(
    protocol: str, match: str, budget: str, sweep: Sequence[str]
) -> dict[str, Option]:
    """Return what four options change in every protocol.

    Raises:
        SpecError: One cannot be read, or what is changed is no field of a protocol.
    """
    changes = parse_options(protocol)
    if budget and changes.keys() & {"steps", "seconds"}:
        raise SpecError("--budget says how long to train; leave steps and seconds out beside it.")
    if budget:
        changes |= {"steps": 0, "seconds": parse_seconds(budget)}
    changes |= {"match": match} if match else {}
    changes |= {"sweep": ";".join(sweep)} if sweep else {}
    settled(Protocol().changed(changes))
    return changes


def parse_seconds(text: str) -> float:
    """Read a time such as `90s`, `10min`, `2h` or `90`, in seconds.

    Raises:
        SpecError: The text is no such time.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|)", text.strip())
    if match is None or not float(match[1]):
        raise SpecError(f"{quoted(text)} is no time; write it like 90s, 10min or 2h.")
    return float(match[1]) * {"min": 60, "h": 3600}.get(match[2], 1)


@app.command()
def ab(
    a: Annotated[str, typer.Argument(help="A model, such as s4d.")],
    b: Annotated[str, typer.Argument(help="The model that is measured beside it.")],
    tasks: Annotated[list[str], typer.Argument(help="What is measured; trainings work, too.")],
    rounds: Annotated[
        int, typer.Option(min=2, max=1000, help="Processes of each model and length.")
    ] = 5,
    protocol: Annotated[str, typer.Option(help="Change the protocol: 'batch=16'.")] = "",
    device: Device = "cpu",
    results: Results = LOCAL / "ab",
    jobs: Jobs = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Measure two models in turns, A B B A, each time in a new process, and compare them."""
    from harness.cli.progress import show_sweep
    from harness.cli.terminal import Terminal
    from harness.report import print_comparison
    from harness.results.compare import compare, sides
    from harness.runner.sweep import Sweep, in_turns, plan

    known_device(device)
    runs = in_turns(tasks, (a, b), rounds=rounds, device=device, plugins=tuple(plugin))
    changes = parse_options(protocol)
    Protocol().changed(changes)
    sweep = Sweep(
        runs=runs,
        results=str(results),
        plugins=tuple(plugin),
        executor=chosen_executor("local[isolation=fresh]", jobs=jobs),
        changes=changes,
        again=True,
    )
    code = show_sweep(sweep, plan(sweep), json=False)
    if code == 0:
        first, second = sides(a, b, results)
        print_comparison(compare(first.records, second.records), (a, b), Terminal())
    sys.exit(code)


def parse_bytes(text: str) -> int:
    """Read a size such as `6G`, `512M` or `1000000`, in powers of 1024.

    Raises:
        SpecError: The text is no such size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise SpecError(f"{quoted(text)} is not a size; write it like 6G, 512M or 1000000.")
    size = float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " ")
    if size > MOST_BYTES:
        raise SpecError(f"{quoted(text)} is more than any machine has; write it like 6G.")
    return int(size)
