"""What is timed, said once for all who time it: asv, pytest-benchmark, the comparison with peers.

asv takes these files from the working tree and the project from the commit that it measures, so
`find` looks for a module wherever the commit has it, and nothing else here imports the project.
"""

import inspect
import runpy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, ClassVar


class UnavailableError(NotImplementedError):
    """It cannot be timed here: asv writes `n/a`, pytest skips it."""


@cache
def find(package: str, *names: str) -> Any:
    """Import a module by its last name, in whichever folder of the package it lies.

    An operator lies deeper than a model that has its name, and its kernel is a form of it.

    Args:
        package: `harness`, `suites` or `baselines`.
        names: What the module is called, then what it was called before.

    Raises:
        ImportError: No module is called so, or several are.
    """
    (folder,) = map(Path, import_module(package).__path__)
    every = ([*folder.rglob(f"{name}.py")] for name in names)
    found = [path for path in next(filter(None, every), []) if path.parent.name != "kernels"]
    deepest = max((len(path.parts) for path in found), default=0)
    found = [path for path in found if len(path.parts) == deepest]
    if len(found) != 1:
        raise ImportError(f"{package} has {len(found)} modules called {names[0]}.")
    return import_module(".".join(found[0].relative_to(folder.parent).with_suffix("").parts))


def named(module: Any, *names: str) -> Any:
    """Return what a module calls by the first of these names that it has, the present one first.

    Raises:
        AttributeError: It has none of them.
    """
    return getattr(module, next((name for name in names if hasattr(module, name)), names[0]))


def rng() -> Any:
    """Return the generator of what operators are given, from its beginning."""
    return find("harness", "seeding").stream("benchmarks")


def keep_memory() -> None:
    """Keep what this process frees, as a run does, whatever commit is measured.

    The module is the working tree's, as these files are, and imports nothing of the project.
    """
    folder = Path(__file__).parents[1] / "harness" / "measure"
    runpy.run_path(str(folder / "allocator.py"))["keep"]()


@dataclass(frozen=True)
class Case:
    """Something built, so that a call does nothing but what is timed."""

    call: Callable[[], Any]
    leaves: Sequence[Any] = ()
    """Tensors to which a training step takes gradients."""
    slope: Any = None
    """The gradient that goes back, of the shape of what a call returns; None for ones."""
    check: Callable[[Any], object] = lambda _: None
    """Asserts what is known beforehand of what a call returns."""
    path: Callable[[], str] = str
    """Names the implementation that ran."""

    def training(self) -> Any:
        """Go forward and back, from no gradients."""
        for leaf in self.leaves:
            leaf.requires_grad_().grad = None
        y = self.call()
        (y.sum() if self.slope is None else y).backward(self.slope)
        return y


class Benchmark(ABC):
    """Cases of one kind, as asv wants them: methods `time_...` are `forward` or `training`."""

    version = "3"
    """Raised when what is measured changes, or asv compares what cannot be compared."""
    timed = True
    """Whether it is timed, with memory that is kept, and not weighed."""
    params: ClassVar[Sequence[Sequence[Any]]] = ()
    """Values of `build`'s parameters; every combination is timed."""
    param_names: ClassVar[list[str]]
    """The names of all parameters, of which asv takes as many as have values."""
    beside: ClassVar[Sequence[tuple[Any, ...]]] = ()
    """Further parameters that have no history: slow twins, timed by pytest only."""
    compared = "form"
    """The parameter whose values stand beside each other in a group of pytest-benchmark."""
    # Two processes, since one may be slower than the next for no reason of the code's, with four to
    # eight samples each: `asv compare` calls nothing changed that has fewer than seven in all. A
    # sample is as many calls as take a tenth of a second, which averages short pauses out.
    rounds = 2
    repeat = (4, 8, 2.0)
    number = 0
    sample_time = 0.1
    warmup_time = 0.2
    timeout = 120

    def __init_subclass__(cls) -> None:
        cls.param_names = [*inspect.signature(cls.build).parameters][1:]

    @abstractmethod
    def build(self, *values: Any, **further: Any) -> Case:
        """Prepare what is timed.

        Raises:
            UnavailableError: It cannot be timed here.
        """

    def setup(self, *values: Any) -> None:
        """Build, for asv, in a process of its own; what a commit lacks is `n/a`."""
        if self.timed:
            keep_memory()
        try:
            self.case = self.build(*values)
        except (ImportError, AttributeError) as error:
            raise UnavailableError(str(error)) from error

    def forward(self, *_: Any) -> Any:
        """Do it once."""
        return self.case.call()

    def training(self, *_: Any) -> Any:
        """Do it once, with gradients."""
        return self.case.training()

    @classmethod
    def settings(cls) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Return names of methods, each with all values that it is timed with."""
        names = [name for name in dir(cls) if name.startswith("time_")]
        yield from product(names, [*product(*cls.params), *cls.beside])
