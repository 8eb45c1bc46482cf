"""A mixture of objectives that is chosen as a training goes: Birdie's controller.

Blouir et al. 2024, "Birdie", section 3 and appendix A. At each evaluation every configuration has a
loss, and a reward for what it gained since the one before. A model of rewards learns from all
evaluations so far what a mixture would bring; random mixtures are tried in it, and the mean of the
best is held until the next evaluation. The paper's evaluations are at 10, 50, 250, then ever rarer
of 32,000 steps, and it controls from 250 on; here they are evenly spaced, for short trainings.

Axes: t evaluations, n configurations, m candidates, w width of the model of rewards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import e
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from harness.core.seeding import scope, stream


def reward(before: Tensor, after: Tensor) -> Tensor:
    """Return what losses earn that were `before` and are `after`, from -1 to 1.

    100 e tanh(e S g^3) with S the geometric mean of both and g the share by which it fell. The
    paper prints a minus before it with this g, which would punish what improves; its code has the
    sign that is here. No number earns nothing.
    """
    gained = (before - after) / (before + 1e-8)
    size = (before * after).sqrt()
    return (100 * e * (e * size * gained**3).tanh()).clamp(-1, 1).nan_to_num(0.0)


@final
@dataclass(frozen=True, kw_only=True)
class Search:
    """How the next mixture is found. The paper: 4 layers of width 256, 2,048 candidates, 200 steps.

    The defaults are smaller, so that a search takes a second or two and not a good share of a short
    training.
    """

    width: int = 64
    layers: int = 2
    candidates: int = 512
    best: int = 8
    """Candidates that are averaged."""
    steps: int = 100
    """Of training the model of rewards at each evaluation, on all of them: it is to overfit."""
    lr: float = 3e-3
    after: int = 3
    """Evaluations until the mixture is the one that it starts from."""

    def proposed(
        self, losses: Float[Tensor, "t n"], mixtures: Float[Tensor, "t n"], kinds: Sequence[str]
    ) -> Float[Tensor, " n"]:
        """Return the next mixture.

        Args:
            losses: Of each configuration at each evaluation, two at least.
            mixtures: Those that were held before them.
            kinds: The class of each configuration; classes count alike.
        """
        rng = stream("birdie", len(losses))
        with scope("birdie", len(losses)):
            model = RewardModel(losses.shape[1], self.width, self.layers)
        self.fit(model, losses, mixtures[1:])
        tried = torch.rand(self.candidates, losses.shape[1], generator=rng)
        tried = tried / tried.sum(1, keepdim=True)
        weights = torch.tensor([1 / kinds.count(kind) for kind in kinds])
        with torch.no_grad():
            history = mixtures[1:].expand(self.candidates, -1, -1)
            seen = losses.expand(self.candidates, -1, -1)
            hoped = model(seen, torch.cat([history, tried[:, None]], 1))[:, -1] @ weights
        return tried[hoped.topk(min(self.best, self.candidates)).indices].mean(0)

    def fit(self, model: nn.Module, losses: Tensor, mixtures: Tensor) -> None:
        """Train a model of rewards on what mixtures brought."""
        earned = torch.stack([reward(before, after) for before, after in pairwise(losses)])
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.lr, weight_decay=0.1)
        for _ in range(self.steps):
            optimizer.zero_grad()
            F.mse_loss(model(losses[None, :-1], mixtures[None])[0], earned).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()


@final
class RewardModel(nn.Module):
    """A Gated SSM from losses and the mixture held behind them to each configuration's reward."""

    def __init__(self, configurations: int, width: int, layers: int) -> None:
        super().__init__()
        self.losses, self.mixtures = nn.RMSNorm(configurations), nn.RMSNorm(configurations)
        self.encode = nn.Linear(2 * configurations, width)
        self.layers = nn.ModuleList(Gated(width) for _ in range(layers))
        self.decode = nn.Linear(width, configurations)

    def forward(
        self, losses: Float[Tensor, "m t n"], mixtures: Float[Tensor, "m t n"]
    ) -> Float[Tensor, "m t n"]:
        """Predict rewards, each from what came until then."""
        x = self.encode(torch.cat([self.losses(losses), self.mixtures(mixtures)], -1))
        for layer in self.layers:
            x = x + layer(x)
        predicted: Tensor = self.decode(x).tanh()
        return predicted


@final
class Gated(nn.Module):
    """A layer h = f h + i z, y = W (o h), position by position: histories are short."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width)
        self.project, self.out = nn.Linear(width, 4 * width), nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "m t w"]) -> Float[Tensor, "m t w"]:
        """Map features."""
        i, f, z, o = self.project(self.norm(x)).chunk(4, -1)
        f, drive = f.sigmoid(), i.sigmoid() * z
        h, states = torch.zeros_like(x[:, 0]), []
        for position in range(x.shape[1]):
            h = f[:, position] * h + drive[:, position]
            states.append(h)
        mapped: Tensor = self.out(F.gelu(o) * torch.stack(states, 1))
        return mapped
