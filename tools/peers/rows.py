"""The rows of the three tables: which measurements make them, and what is wanted of them.

A row's `lines` are those of its table's CSV. Ratios above one are better in `peers`, where they say
how many times faster or lighter our side is, and worse in the other tables.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .ask import Answer, Ask
from .parent import one_by_one
from .store import Stored

Call = Literal["forward", "train", "step"]
Find = Callable[[Ask], Stored | None]
Line = dict[str, Any]
MOST_LONGER, MOST_BYTES = 5.0, 4 * 2**30
"""How much longer four times the positions may take, and what a process may hold meanwhile."""
MOST_GROWTH = 1.25
"""How much longer a step may take behind a longer context: less is within two runs' noise."""
STEPS = 256
"""Steps of one timed call: whole blocks of the layers that work in blocks."""
MOST_PRODUCTS = 2.0
"""How much longer than its bare matrix products a step may take."""
UNMEASURED = Answer(reason="It was not measured.")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Ours and a peer's, in turns in one process, and each weighed in one of its own."""

    name: str
    what: str
    peer: str
    sides: tuple[str, str]
    length: int
    package: str = ""
    """The peer's, whose version stands in the table."""
    calls: tuple[Call, ...] = ("forward", "train")
    faster: Mapping[Call, float] = field(default_factory=dict)
    lighter: Mapping[Call, float] = field(default_factory=dict)
    unweighed: str = ""
    """Why the two are not compared in memory, if they are not."""

    def times(self, call: Call) -> Ask:
        """Return what times both sides."""
        return Ask(mode="time", sides=self.sides, call=call, length=self.length)

    def weights(self, call: Call) -> list[Ask]:
        """Return what weighs each side, nothing if that would mean nothing."""
        if self.unweighed:
            return []
        pair = Ask(mode="memory", sides=self.sides, call=call, length=self.length)
        return one_by_one(pair)

    def asks(self) -> list[Ask]:
        """Return every measurement."""
        return [ask for call in self.calls for ask in (self.times(call), *self.weights(call))]

    def lines(self, find: Find) -> list[Line]:
        """Return a line a call."""
        return [self.line(call, find) for call in self.calls]

    def line(self, call: Call, find: Find) -> Line:
        """Write one call."""
        together = self.times(call)
        timed = [answered(find, together)] * 2
        if timed[0].reason:
            timed = [answered(find, ask) for ask in one_by_one(together)]
        weighed = [answered(find, ask) for ask in self.weights(call)]
        seconds = [answer.median(side) for answer, side in zip(timed, self.sides, strict=True)]
        added = [answer.delta_bytes for answer in weighed] or [None, None]
        reasons = dict.fromkeys(answer.reason for answer in (*timed, *weighed) if answer.reason)
        stored = find(together)
        version = stored.machine["peers"].get(self.package, "") if stored else ""
        return {
            "row": self.name, "ours": self.what, "peer": f"{self.peer} {version}".strip(),
            "call": call, "length": self.length, "width": together.width,
            "ours_s": seconds[0], "ours_precision": timed[0].precision(self.sides[0]),
            "peer_s": seconds[1], "peer_precision": timed[1].precision(self.sides[1]),
            "times_faster": ratio(seconds[1], seconds[0]), "wanted_faster": self.faster.get(call),
            "ours_bytes": added[0], "peer_bytes": added[1],
            "times_lighter": ratio(added[1], added[0]), "wanted_lighter": self.lighter.get(call),
            "path": (weighed or timed)[0].path, "reason": " ".join(reasons) or self.unweighed,
            **timed[0].ceilings,
            **place(stored),
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Long:
    """A model of linear time at two lengths: does it grow as it should, and does it fit?"""

    model: str
    lengths: tuple[int, int]

    @property
    def name(self) -> str:
        """The model's."""
        return self.model

    def ask(self, call: Call, length: int) -> Ask:
        """Return what times and weighs one call."""
        return Ask(mode="both", sides=(f"layer:{self.model}",), call=call, length=length)

    def asks(self) -> list[Ask]:
        """Return every measurement, the short one first."""
        return [self.ask(call, n) for call in ("forward", "train") for n in self.lengths]

    def lines(self, find: Find) -> list[Line]:
        """Return a line a call and length."""
        return [self.line(ask, find) for ask in self.asks()]

    def line(self, ask: Ask, find: Find) -> Line:
        """Write one measurement, at the greater length beside the smaller one."""
        side = ask.sides[0]
        answer = answered(find, ask)
        short = answered(find, self.ask(ask.call, self.lengths[0]))
        last = ask.length == self.lengths[1]
        return {
            "model": self.model, "call": ask.call, "length": ask.length, "width": ask.width,
            "seconds": answer.median(side), "precision": answer.precision(side),
            "peak_bytes": answer.peak_bytes, "delta_bytes": answer.delta_bytes,
            "times_longer": ratio(answer.median(side), short.median(side)) if last else None,
            "wanted_longer": MOST_LONGER if last else None,
            "wanted_bytes": MOST_BYTES if last else None,
            "path": answer.path, "reason": answer.reason, **place(find(ask)),
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Step:
    """A model's step behind a short and a long context, beside its block's bare products."""

    model: str
    width: int
    lengths: tuple[int, int]
    bounded: bool
    """Whether its state stays as large as it is; only then must its time."""

    @property
    def name(self) -> str:
        """The model's."""
        return self.model

    def asks(self) -> list[Ask]:
        """Return one measurement a context."""
        sides = (f"step:{self.model}", f"products:{self.model}")
        return [
            Ask(
                mode="time",
                sides=sides,
                call="step",
                length=length,
                width=self.width,
                steps=STEPS,
            )
            for length in self.lengths
        ]

    def lines(self, find: Find) -> list[Line]:
        """Return a line a context."""
        return [self.line(ask, find) for ask in self.asks()]

    def line(self, ask: Ask, find: Find) -> Line:
        """Write one context, the longer one beside the shorter one."""
        step, products = ask.sides
        answer, short = answered(find, ask), answered(find, self.asks()[0])
        seconds, bare = answer.median(step), answer.median(products)
        last = ask.length == self.lengths[1]
        return {
            "model": self.model, "context": ask.length, "width": self.width,
            "step_s": seconds and seconds / ask.steps,
            "precision": answer.precision(step), "products_s": bare and bare / ask.steps,
            "times_products": ratio(seconds, bare),
            "wanted_products": MOST_PRODUCTS if self.bounded or not last else None,
            "times_longer": ratio(seconds, short.median(step)) if last else None,
            "wanted_longer": MOST_GROWTH if self.bounded and last else None,
            "path": answer.path, "reason": answer.reason, **place(find(ask)),
        }  # fmt: skip


def answered(find: Find, ask: Ask) -> Answer:
    """Return the answer to an ask, or one that says that there is none."""
    stored = find(ask)
    return stored.answer if stored else UNMEASURED


def ratio(over: float | None, under: float | None) -> float | None:
    """Divide, where there are both."""
    return over / under if over is not None and under else None


def place(stored: Stored | None) -> Line:
    """Return on what, with what and when a row was measured."""
    if stored is None:
        return {}
    names = ("processor", "cores", "commit", "dirty", "load", "measured")
    return {
        **{name: stored.machine[name] for name in names},
        "torch": stored.machine["packages"]["torch"],
    }
