"""Hybrid: the layers of any two recipes in a pattern, and a gated feed-forward map after each.

What Jamba (Lieber et al. 2024), Griffin (De et al. 2024) and others make of their own layers, from
any: `hybrid[pattern=mmma]` is three of Mamba to one of attention, `hybrid[m=hawk,
a=local-attention,pattern=mma]` is Griffin's. The pattern repeats, and ends with the network: a
depth that is no multiple of it begins within it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from harness.api import Mixer, Model, ParameterGroup, SpecError, Task, Trunk, load_model


@final
@dataclass(frozen=True, kw_only=True)
class Hybrid(Model):
    """Layers of two recipes."""

    pattern: str = "ma"
    """Letters m and a, each at least once: of which recipe each layer is, the first one first."""
    m: str = "mamba"
    """A recipe, with at most one level of options: `mamba2[state=16,head_dim=32]`."""
    a: str = "transformer"
    """The other one."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=8 / 3, ffn_form="swiglu")
    reference: ClassVar[str] = "lieber2024jamba, de2024griffin"

    def __post_init__(self) -> None:
        if set(self.pattern) != {"m", "a"}:
            raise SpecError(
                f"pattern must be letters m and a, each at least once, as in mmma, not "
                f"{self.pattern!r}."
            )
        _ = self.members

    @property
    def members(self) -> Mapping[str, Model]:
        """The two recipes by letter.

        Raises:
            SpecError: One is unknown, or builds no layer.
        """
        members = {letter: load_model(getattr(self, letter)) for letter in "ma"}
        for letter, recipe in members.items():
            if not isinstance(recipe, Model):
                raise SpecError(
                    f"{letter}={recipe.name} builds a whole network; choose a model of one layer."
                )
        return members

    def parameter_groups(self) -> Mapping[str, ParameterGroup]:
        """Return what trains apart in either; a name of both trains as in m."""
        first, second = (recipe.parameter_groups() for recipe in self.members.values())
        return {**second, **first}

    @property
    def max_length(self) -> int:
        """The shorter of the lengths that the two take."""
        return min(filter(None, (each.max_length for each in self.members.values())), default=0)

    def skip(self, task: Task) -> str:
        """Return why either cannot do a task."""
        return next(filter(None, (each.skip(task) for each in self.members.values())), "")

    def build(self, *, width: int, length: int, causal: bool) -> Mixer:
        """Build a layer of the first letter."""
        recipe = self.members[self.pattern[0]]
        return recipe.build(width=width, length=length, causal=causal)

    def stack(self, *, depth: int, width: int, length: int, causal: bool) -> Sequence[Mixer]:
        """Build the layers of each recipe as a stack of their own, and put them in order."""
        letters = self._letters(depth)
        stacks = {
            letter: iter(
                recipe.stack(depth=letters.count(letter), width=width, length=length, causal=causal)
            )
            for letter, recipe in self.members.items()
            if letter in letters
        }
        return [next(stacks[letter]) for letter in letters]

    def _letters(self, depth: int) -> str:
        return (self.pattern * depth)[len(self.pattern) * depth - depth :]
