"""What else used the processors while something was timed, and whether that disturbed it."""

import msgspec

SHARE = 0.05
"""Least share of the time that is a disturbance; the counters are good to a fifth of it."""
LEAST_S = 0.05
"""Less is not told from nothing: the system counts others' time in hundredths of a second."""


class Interference(msgspec.Struct, frozen=True, kw_only=True):
    """One timed section. What this system does not say is None."""

    wall_s: float
    cpu_s: float
    """Processor seconds of the process and of those it started."""
    voluntary_switches: int
    involuntary_switches: int
    waited_s: float | None = None
    """Seconds that the process's threads were ready and had no core, summed over threads."""
    pressure_s: float | None = None
    """Seconds in which anything on the machine was ready and had no core."""
    throttled_s: float = 0.0
    """Seconds for which a quota kept the process waiting."""
    others_s: float | None = None
    """Processor seconds of everybody else on the cores that this process may use."""
    cores: int = 1
    """How many those are."""

    def __add__(self, other: "Interference") -> "Interference":
        """Return two sections as one; what the system did not say of one is unknown of both."""
        ours, theirs = (msgspec.structs.asdict(each) for each in (self, other))
        both = {
            name: None if None in {value, theirs[name]} else value + theirs[name]
            for name, value in ours.items()
        }
        both["cores"] = min(self.cores, other.cores)
        return msgspec.convert(both, Interference)

    @property
    def shares(self) -> dict[str, float]:
        """Return what was taken from the section, as shares of its time, by what took it."""
        waited = self.pressure_s if self.waited_s is None else self.waited_s
        taken = {"waiting": waited, "throttled": self.throttled_s, "others": self.others_s}
        whole = {"others": self.wall_s * self.cores}
        return {
            name: seconds / max(whole.get(name, self.wall_s), 1e-9) if seconds > LEAST_S else 0.0
            for name, seconds in taken.items()
            if seconds is not None
        }

    @property
    def most(self) -> float:
        """Return the largest share that was taken."""
        return max(self.shares.values())

    @property
    def disturbed(self) -> bool | None:
        """Say whether others took a share that counts; None where the system tells too little."""
        if self.most > SHARE:
            return True
        return False if self.waited_s is not None or self.others_s is not None else None
