"""What hears of a training's evaluations, and may change what it is trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from harness.training.birdie import Search


class Curriculum:
    """One that changes nothing."""

    def observe(self, step: int, figures: Tensor) -> None:
        """Hear of the (n, k) figures of validation after a step."""

    def shares(self) -> list[tuple[int, dict[str, float]]]:
        """Return after which steps which kinds of examples had which shares."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Return what it goes on from."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""


@final
@dataclass
class Mixture(Curriculum):
    """What share each configuration has of a training, from the beginning to its end."""

    start: Tensor
    """(n,), the shares at the beginning."""
    kinds: Sequence[str]
    """The class of each configuration."""
    search: Search | None = None
    """What finds the next; None for shares that stay."""
    since: list[int] = field(default_factory=lambda: [0])
    """The steps after which each mixture was held."""
    mixtures: list[Tensor] = field(init=False)
    losses: list[Tensor] = field(default_factory=list)
    """(n,) at each evaluation."""

    def __post_init__(self) -> None:
        self.mixtures = [self.start]

    def at(self, step: int) -> Tensor:
        """Return the shares by which a step's batch is drawn, counted from 0; so again later."""
        return self.mixtures[max(n for n, since in enumerate(self.since) if since <= step)]

    def observe(self, step: int, figures: Tensor) -> None:
        """Hear of an evaluation, and choose what is held from then on.

        Args:
            step: After which it was made.
            figures: (n r, 2) sum of losses and their number, r rows of each configuration.
        """
        sums = figures.view(len(self.start), -1, 2).sum(1)
        self.losses.append((sums[:, 0] / sums[:, 1].clamp(min=1)).float())
        held = self.mixtures[-1]
        if self.search and len(self.losses) >= self.search.after:
            seen, mixtures = torch.stack(self.losses), torch.stack(self.mixtures)
            held = self.search.proposed(seen, mixtures, self.kinds)
        self.since.append(step)
        self.mixtures.append(held)

    def shares(self) -> list[tuple[int, dict[str, float]]]:
        """Return after which steps which classes had which shares."""
        return [
            (step, {kind: round(self._of(kind, mixture), 4) for kind in dict.fromkeys(self.kinds)})
            for step, mixture in zip(self.since, self.mixtures, strict=True)
        ]

    def _of(self, kind: str, mixture: Tensor) -> float:
        of_kind = torch.tensor([each == kind for each in self.kinds])
        return float(mixture[of_kind].sum())

    def state_dict(self) -> dict[str, Any]:
        """Return what was held and seen."""
        return {"since": self.since, "mixtures": self.mixtures, "losses": self.losses}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.since, self.mixtures, self.losses = (
            list(state[name]) for name in ("since", "mixtures", "losses")
        )
