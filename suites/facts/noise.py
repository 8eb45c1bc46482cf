"""Answer a question about people, places and things that a long text mentions now and then.

In the manner of bAbI's tasks 1 to 3 and 7 (Weston et al. 2015, arXiv 1502.05698) among noise, as
BABILong (Kuratov et al. 2024, arXiv 2406.10149) hides them, with tokens instead of English.

Axes: b batch, l positions, c classes.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import IGNORED, Batch, Evaluation, Protocol, SpecError, one_hot, stream
from suites._lengths import at_lengths
from suites._options import by_default, within
from suites._tokens import TokenTask

PEOPLE, PLACES, THINGS, COUNTS, NOISE = 6, 8, 6, 7, 64
GOES, TAKES, DROPS, ASK = range(4)
PERSON = 4
PLACE = PERSON + PEOPLE
THING = PLACE + PLACES
COUNT = THING + THINGS
WORD = COUNT + COUNTS
TOKENS = WORD + NOISE
FACTORS = (4, 16, 64)
COUNTED = 1000
"""Texts in which the commonest number is counted."""
CHEAP = {
    "where": {"last value": 0.24, "beside the last occurrence": 0.794},
    "thing": {"last value": 0.251, "commonest value": 0.257},
    "before": {"first value": 0.234, "commonest value": 0.243},
    "count": dict[str, float](),
}
"""What cheap predictors reach at the default options."""


@final
@dataclass(frozen=True, kw_only=True)
class Noise(TokenTask):
    """`verb person place-or-thing` among words that mean nothing, then `ask person-or-thing`.

    People go to places, take things and drop them where they are. What lies nowhere yet is taken
    from nowhere; who has gone nowhere yet does nothing else.
    """

    question: Literal["where", "thing", "before", "count"] = "thing"
    """Where a person is (one fact), where a thing is (two), where a thing was before its last place
    (three), or how many things a person holds (counting)."""
    facts: int = 16
    """In a text."""
    length: int = 128
    """Positions of the training texts."""

    protocol: ClassVar[Protocol] = Protocol(steps=3000, batch=64, width=64, depth=2)

    def __post_init__(self) -> None:
        within("facts", self.facts, 8)
        within("length", self.length, 1)
        if self.length < 3 * self.facts + 2:
            raise SpecError(
                f"With {self.facts} facts and a question the length must be at least "
                f"{3 * self.facts + 2}, not {self.length}."
            )

    @property
    def size(self) -> int:
        """Verbs, people, places, things, numbers and words."""
        return TOKENS

    @property
    def max_length(self) -> int:
        """Text and question; further evaluations are longer."""
        return self.length

    @property
    def chance(self) -> float:
        """Any place, or the commonest number."""
        return commonest(self) if self.question == "count" else 1 / PLACES

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """What was measured."""
        return by_default(self, CHEAP[self.question], "question")

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw texts of the training length."""
        return self.drawn(n, self.length, rng)

    def drawn(self, n: int, length: int, rng: torch.Generator) -> Batch:
        """Draw texts of any length."""
        inputs = torch.randint(WORD, TOKENS, (n, length), generator=rng)
        places = (length - 2) // 3
        lots = torch.rand(n, places, generator=rng, dtype=torch.float64)
        starts = 3 * lots.topk(self.facts).indices.sort(1).values
        facts, asked, answers = zip(*(self.told(rng) for _ in range(n)), strict=True)
        inputs.scatter_(
            1, (starts[..., None] + torch.arange(3)).flatten(1), torch.tensor(facts).flatten(1)
        )
        inputs[:, -2], inputs[:, -1] = ASK, torch.tensor(asked)
        targets = torch.full_like(inputs, IGNORED)
        targets[:, -1] = torch.tensor(answers)
        return Batch(inputs, targets)

    def told(self, rng: torch.Generator) -> tuple[list[tuple[int, int, int]], int, int]:
        """Draw facts and a question about them that has an answer; others are drawn again."""
        while True:
            world, facts = World(), list[tuple[int, int, int]]()
            while len(facts) < self.facts:
                lots = torch.randint(2**30, (4,), generator=rng).tolist()
                facts.append(world.event(lots))
            known = world.answers(self.question)
            if known:
                # The answer first, so that the commonest ones are not asked for most often.
                answer = chosen(sorted(set(known.values())), rng)
                asked = chosen(sorted(key for key in known if known[key] == answer), rng)
                return facts, asked, answer

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask with as many facts in texts 4, 16 and 64 times as long."""
        lengths = [factor * self.length for factor in FACTORS]
        return at_lengths(self, lengths, lambda l, rng: self.drawn(128, l, rng))

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Read the text backwards, from the question to what it hangs on."""
        found = torch.zeros_like(batch.inputs)
        for row, tokens in enumerate(batch.inputs.tolist()):
            facts = [
                (tokens[i], tokens[i + 1], tokens[i + 2])
                for i, token in enumerate(tokens[:-2])
                if token < ASK
            ]
            found[row, -1] = READERS[self.question](facts, tokens[-1])
        return one_hot(found, self.size)


@cache
def commonest(task: Noise) -> float:
    """Return the share of the commonest number of things, which the number of facts decides."""
    rng = stream(task.name, task.version, "chance")
    found = Counter(task.told(rng)[2] for _ in range(COUNTED))
    return found.most_common(1)[0][1] / COUNTED


def chosen(tokens: list[int], rng: torch.Generator) -> int:
    """Draw one of some tokens, all alike likely."""
    return tokens[int(torch.randint(len(tokens), (), generator=rng))]


class World:
    """Who is where and holds what, while events happen."""

    def __init__(self) -> None:
        self.at: dict[int, int] = {}
        self.holder: dict[int, int] = {}
        self.places: dict[int, list[int]] = {}
        """Where each thing has been, in order."""

    def event(self, lots: list[int]) -> tuple[int, int, int]:
        """Let something happen that can, chosen by four numbers."""
        verb, person = lots[0] % 4, PERSON + lots[1] % PEOPLE
        held = [thing for thing, holder in self.holder.items() if holder == person]
        free = [t for t in range(THING, THING + THINGS) if t not in self.holder]
        if person in self.at and verb == TAKES and free:
            thing = free[lots[2] % len(free)]
            self.holder[thing] = person
            self.seen(thing)
            return TAKES, person, thing
        if verb == DROPS and held:
            thing = held[lots[2] % len(held)]
            del self.holder[thing]
            return DROPS, person, thing
        place = PLACE + lots[3] % PLACES
        self.at[person] = place
        for thing in held:
            self.seen(thing)
        return GOES, person, place

    def seen(self, thing: int) -> None:
        """Note where a thing is that is held."""
        place, been = self.at[self.holder[thing]], self.places.setdefault(thing, [])
        if not been or been[-1] != place:
            been.append(place)

    def answers(self, question: str) -> dict[int, int]:
        """Return what can be asked, with the answers."""
        if question == "where":
            return self.at
        if question == "count":
            holders = list(self.holder.values())
            return {person: COUNT + holders.count(person) for person in self.at}
        if question == "thing":
            return {thing: places[-1] for thing, places in self.places.items()}
        return {thing: been[-2] for thing, been in self.places.items() if len(been) > 1}


Facts = list[tuple[int, int, int]]


def where(facts: Facts, person: int) -> int:
    """Return the place to which somebody went last."""
    return next(what for verb, who, what in facts[::-1] if verb == GOES and who == person)


def visited(facts: Facts, thing: int) -> list[int]:
    """Return where a thing has been, one fact after the other."""
    been, holder = list[int](), -1
    for number, (verb, who, what) in enumerate(facts, 1):
        if what == thing:
            holder = who if verb == TAKES else -1
        if who == holder and verb != DROPS:
            place = where(facts[:number], who)
            been += [place] if been[-1:] != [place] else []
    return been


def count(facts: Facts, person: int) -> int:
    """Return how many things somebody took and did not drop, as a token."""
    own = [verb for verb, who, _ in facts if who == person]
    return COUNT + own.count(TAKES) - own.count(DROPS)


READERS: dict[str, Callable[[Facts, int], int]] = {
    "where": where,
    "thing": lambda facts, thing: visited(facts, thing)[-1],
    "before": lambda facts, thing: visited(facts, thing)[-2],
    "count": count,
}
