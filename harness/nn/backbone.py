"""The apparatus around every mixer: encoder, blocks, head. The same for all models of a table.

A block adds to its input what the mixer and the position-wise map make of it, then, if the model's
trunk has one, what a feed-forward map makes of that. Axes: b batch, l length, d width.
"""

from collections.abc import Iterable
from typing import cast, final

from torch import Tensor, nn

from harness.contract.block import Trunk
from harness.contract.model import Model
from harness.contract.network import Mixer, Network, State
from harness.contract.task import Task
from harness.nn.norms import NORMS
from harness.nn.position_wise import feed_forward, position_wise
from harness.nn.single_position import drop


@final
class Block(nn.Module):
    """One mixer in its residual branch, and the feed-forward branch after it."""

    def __init__(
        self, mixer: Mixer, ffn: nn.Module | None, trunk: Trunk, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.prenorm, self.dropout = trunk.prenorm, dropout
        self.mixer = mixer
        self.mixer_norm = NORMS[trunk.norm](width)
        self.mix = position_wise(trunk, width, dropout)
        self.ffn = ffn
        self.ffn_norm = NORMS[trunk.norm](width) if ffn else None

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Map (b, l, d) features."""
        mixed: Tensor = self.mixer(self.before(x, lengths), lengths)
        return self.finish(x, mixed, lengths)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map (b, d) features of one position."""
        mixed, state = self.mixer.step(self.before(x), state)
        return self.finish(x, mixed), state

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map (b, l, d) features that continue a sequence."""
        mixed, state = self.mixer.advance(self.before(x), state)
        return self.finish(x, mixed), state

    def before(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return what the mixer sees."""
        return self.mixer_norm(x, lengths) if self.prenorm else x

    def finish(self, x: Tensor, mixed: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Add the mixer's branch and then the feed-forward branch, position by position."""
        x = x + drop(self.mix(mixed), self.dropout, self.training)
        x = x if self.prenorm else self.mixer_norm(x, lengths)
        if self.ffn is None or self.ffn_norm is None:
            return x
        seen = self.ffn_norm(x, lengths) if self.prenorm else x
        x = x + drop(self.ffn(seen), self.dropout, self.training)
        return x if self.prenorm else self.ffn_norm(x, lengths)


@final
class Backbone(Network):
    """Encoder, blocks, final norm, head."""

    def __init__(self, model: Model, task: Task, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.outputs = task.outputs
        self.encoder = task.inputs.encoder(width)
        trunk = model.trunk
        mixers = model.stack(depth=depth, width=width, length=task.max_length, causal=task.causal)
        self.blocks = nn.ModuleList()
        for layer, mixer in enumerate(mixers):
            own = model.feed_forward(width=width, layer=layer)
            ffn = own or feed_forward(trunk, width, dropout)
            self.blocks.append(Block(mixer, ffn, trunk, width, dropout))
        self.norm = NORMS[trunk.norm](width) if trunk.prenorm else None
        self.head = task.outputs.head(width)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map a batch's inputs to its predictions."""
        if self.outputs.documents > 1:
            inputs = inputs.flatten(0, 1)
            lengths = None if lengths is None else lengths.flatten()
        x = self.encoder(inputs)
        for block in self.layers():
            x = block(x, lengths)
        x = x if self.norm is None else self.norm(x, lengths)
        predictions: Tensor = self.head(self.outputs.gather(x, lengths))
        return predictions

    def layers(self) -> Iterable[Block]:
        """Return the blocks with their type, which `ModuleList` forgets."""
        return cast("Iterable[Block]", self.blocks)

    def initial_state(self, batch: int) -> State:
        """Return one state a block."""
        return tuple(block.mixer.initial_state(batch) for block in self.layers())

    def step(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        """Advance one position: (b,) tokens or (b, c) channels to the position's predictions."""
        x, after = self.encoder(u), []
        for block, before in zip(self.layers(), state, strict=True):
            x, new = block.step(x, before)
            after.append(new)
        return self.predicted(x), tuple(after)

    def advance(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        """Continue over a piece of the inputs, with the mixers' own parallel forms."""
        x, after = self.encoder(u), []
        for block, before in zip(self.layers(), state, strict=True):
            x, new = block.advance(x, before)
            after.append(new)
        return self.predicted(x), tuple(after)

    def predicted(self, x: Tensor) -> Tensor:
        """Return the predictions of every position."""
        predictions: Tensor = self.head(x if self.norm is None else self.norm(x))
        return predictions

    def prefill(self, u: Tensor) -> State:
        """Return the state after whole inputs, with the mixers' own parallel forms.

        What the last block makes of them is nobody's input, so it is not computed.
        """
        x, states = self.encoder(u), []
        for number, block in enumerate(self.layers(), 1):
            states.append(block.mixer.prefill(block.before(x)))
            x = block(x, None) if number < len(self.blocks) else x
        return tuple(states)

    def replayable(self, state: State) -> int:
        """Return the fewest that a block allows."""
        blocks = zip(self.layers(), state, strict=True)
        return min(block.mixer.replayable(before) for block, before in blocks)

    def resample(self, rate: float) -> None:
        """Tell every mixer."""
        for block in self.layers():
            block.mixer.resample(rate)

    def state_bytes(self, length: int) -> int:
        """Add up the blocks' states."""
        return sum(block.mixer.state_bytes(length) for block in self.layers())

    def path(self) -> str:
        """Name each implementation that ran once."""
        return "+".join(dict.fromkeys(block.mixer.path() for block in self.layers()))
