"""Runs the checks on a plugin that is named, and turns what comes of each into a result."""

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from harness.core.config import Selector
from harness.core.errors import SpecError, unknown
from harness.core.plugin_names import Kind
from harness.data.fetch import FetchError, fault
from harness.measure.clock import now
from harness.plugins.loading import build
from harness.plugins.registry import registry
from harness.testing.check import (
    Check,
    CheckError,
    CheckOutcome,
    CheckResult,
    NotApplicableError,
)
from harness.testing.learning_tasks import LEARNING_CHECKS
from harness.testing.measured_tasks import MEASURED_CHECKS
from harness.testing.models import MODEL_CHECKS

KINDS: tuple[Kind, ...] = ("model", "task")


def checks_for(recipe: Any) -> tuple[Check, ...]:
    """Return the checks that concern a model or a task."""
    if recipe.kind == "model":
        return MODEL_CHECKS
    return LEARNING_CHECKS if recipe.learns else MEASURED_CHECKS


def kind_of(text: str, plugins: tuple[str, ...] = ()) -> Kind:
    """Find out whether a name is a model's or a task's.

    Raises:
        SpecError: It is nobody's, or both have it.
    """
    name = Selector(text).name
    if ":" in name:
        return "model"  # of an installed package, which holds no tasks
    found = {entry.kind for entry in registry(plugins).entries if entry.name == name}
    kinds = [kind for kind in KINDS if kind in found]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        raise SpecError(f"Both a model and a task are called {name!r}; say which is meant.")
    known = [entry.name for entry in registry(plugins).entries if entry.kind in KINDS]
    raise unknown("model or task", name, known)


def run_checks(
    kind: Kind | Literal["auto"], text: str, plugins: tuple[str, ...] = (), device: str = "cpu"
) -> Iterator[CheckResult]:
    """Check a plugin, rule by rule. Nothing is downloaded for that: who wants it, fetches first.

    Args:
        kind: What the name names; `auto` looks it up.
        text: A name with or without options, such as `s4d[state=8]`.
        plugins: Files of plugins beside the installed ones.
        device: Where a model's networks compute.

    Raises:
        SpecError: Nobody has the name, or the plugin cannot be imported or built; a task is to be
            checked elsewhere than on a CPU.
    """
    recipe = build(kind_of(text, plugins) if kind == "auto" else kind, text, plugins)
    if recipe.kind == "task" and device != "cpu":
        raise SpecError(f"A task is the same on every device; leave out --device {device}.")
    absent = _absent(recipe, plugins)
    for check in checks_for(recipe):
        start = now()
        outcome, reason = _outcome(check, recipe, device, absent)
        yield CheckResult(
            name=check.name,
            outcome=outcome,
            sentence=check.sentence,
            reason=reason,
            seconds=now() - start,
        )


def _absent(recipe: Any, plugins: tuple[str, ...]) -> str:
    """Say in a sentence which files of a task's are not here; nothing if it lacks none."""
    files = recipe.files() if recipe.kind == "task" else ()
    wrong = ", ".join(f"{file.name} {what}" for file in files if (what := fault(file)))
    named = "".join(f" --plugin {path}" for path in plugins)
    return f"{wrong}; run `ssm-bench data fetch {recipe.name}{named}`." if wrong else ""


def _outcome(check: Check, recipe: Any, device: str, absent: str) -> tuple[CheckOutcome, str]:
    if absent:
        return "not-checked", absent
    try:
        check(recipe, device)
    except NotApplicableError as error:
        return "not-applicable", str(error)
    except FetchError as error:
        return "not-checked", str(error)
    except (CheckError, SpecError) as error:
        return "failed", str(error)
    except Exception as error:  # whatever a plugin raises is this plugin's failure, told in full
        frame = traceback.extract_tb(error.__traceback__)[-1]
        message = str(error).partition("\n")[0]
        place = f"{Path(frame.filename).name}, line {frame.lineno}"
        return "failed", f"It raises {type(error).__name__} ({place}): {message}"
    return "passed", ""
