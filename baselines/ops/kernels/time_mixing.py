"""The time mixing of RWKV-7 between its projections: what drives the rule, the rule, the output.

The rule is the delta rule of two steps a position: the first replaces what is held under kappa, the
second adds the value. What is read before the state decays is read after it as well, where it is as
much smaller as the decay makes it: no decay is below 0.54.

Before and behind the rule is one launch each, and one backwards.

Axes: b batch, l length, d width, h heads, e features of a head.
"""

from jaxtyping import Float
from torch import Tensor

from baselines.ops.kernels.delta_rule import erasing_delta_rule
from baselines.ops.kernels.time_mixing_drives import drives
from baselines.ops.kernels.time_mixing_output import output
from baselines.ops.layers.time_mixing import Mixed, Parts, Weights


def time_mixing(parts: Parts, weights: Weights, state: Float[Tensor, "b h e e"]) -> Mixed:
    """Return what is projected, and the last state; see `baselines.ops.layers.time_mixing`."""
    keys, values, erased, log_decay, replaced, added = drives(parts, weights)
    r = parts.r.unflatten(-1, weights.r_k.shape).to(keys.dtype)
    y, state = erasing_delta_rule(r, keys, values, erased, log_decay, state)
    return output(y, r, replaced, added, parts.gate, weights), state
