"""Who speaks the synthetic words, how, and in what surroundings.

A voice variant of espeak-ng belongs to one split only, so whoever is heard in the test was never
heard in training. Accent, rate, pitch, loudness, onset and noise are drawn for each word.

Axes: b words, l samples.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float64, Int16, Int64
from torch import Tensor

from harness.api import Split
from suites.speech._clips import SAMPLES
from suites.speech._synthesiser import Utterance, spoken

ACCENTS = "en en-US en-029 en-GB-scotland en-GB-x-rp en-GB-x-gbclan en-GB-x-gbcwmd en-US-nyc"
VARIANTS: Mapping[Split, str] = {
    "train": (
        "Alex Andy Annie Gene2 Hugo Jacky Lee Mario Michael Mike Reed Storm adam announcer antonio "
        "belinda benjamin caleb david ed edward f1 f2 f4 f5 grandma gustave ian iven2 klatt klatt4 "
        "linda m1 m2 m4 m6 m7 m8 marcelo max michel miguel mike2 pablo pedro quincy rob robert"
    ),
    "validation": "aunty boris f3 klatt3 m3 norbert steph travis",
    "test": "Alicia grandpa john m5 paul sandro shelby victor",
}
"""Names of espeak-ng's voice variants. Left out are whispers, robots, and near copies of others."""
RATES = (110, 200)
"""Words a minute."""
PITCHES, RANGES = (20, 80), (20, 80)
LEVEL = 1000.0
"""Root mean square in the middle of a word's loudnesses, in 16-bit units."""
LOUDNESSES = (LEVEL / 2, LEVEL * 2)
NOISES = (LEVEL / 300, LEVEL / 20)
"""Root mean squares of the noise that fills the second, so that silence is never exactly zero."""


def recorded(
    labels: Int64[Tensor, " b"], words: tuple[str, ...], split: Split, rng: torch.Generator
) -> Int16[Tensor, "b l"]:
    """Have words said by voices of a split, each somewhere in a second that is a little noisy."""
    n, accents, variants = len(labels), ACCENTS.split(), VARIANTS[split].split()
    columns = [
        torch.randint(low, high, (n,), generator=rng).tolist()
        for low, high in ((0, len(accents)), (0, len(variants)), RATES, PITCHES, RANGES)
    ]
    utterances = [
        Utterance(f"{accents[accent]}+{variants[variant]}", rate, pitch, pitch_range, words[label])
        for accent, variant, rate, pitch, pitch_range, label in zip(
            *columns, labels.tolist(), strict=True
        )
    ]
    loudness, noise = (drawn(n, *bounds, rng) for bounds in (LOUDNESSES, NOISES))
    onset = torch.rand(n, generator=rng, dtype=torch.float64)
    clips = placed(spoken(utterances), loudness.numpy(), onset.numpy())
    # Uniform noise, whose standard deviation is the square root of a third.
    hiss = 2 * torch.rand(clips.shape, generator=rng, dtype=torch.float64) - 1
    clips += hiss * noise[:, None] * 3**0.5
    return clips.round().clamp(-(2**15), 2**15 - 1).short()


def drawn(n: int, low: float, high: float, rng: torch.Generator) -> Float64[Tensor, " b"]:
    """Draw positive numbers whose logarithms are uniform."""
    return low * (high / low) ** torch.rand(n, generator=rng, dtype=torch.float64)


def placed(
    sounds: list[np.ndarray], loudness: Float64[np.ndarray, " b"], onset: Float64[np.ndarray, " b"]
) -> Float64[Tensor, "b l"]:
    """Bring sounds to a root mean square and put each somewhere into a second of silence.

    Args:
        sounds: What lasts longer than the second is cut at the end.
        loudness: Root mean squares.
        onset: Where a sound begins, as a share of the silence that it leaves.
    """
    clips = np.zeros((len(sounds), SAMPLES))
    for clip, sound, level, share in zip(clips, sounds, loudness, onset, strict=True):
        start = int(share * max(0, SAMPLES - len(sound)))
        part = sound[:SAMPLES]
        clip[start : start + len(part)] = part * level / np.sqrt(np.mean(part**2))
    return torch.from_numpy(clips)
