"""Synthetic words: always the same bytes, by voices of the split, somewhere in a noisy second."""

import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly, stft

from harness.api import Split, UnsupportedError
from harness.core.seeding import stream
from harness.data.cache import use_shard_dir
from suites.speech import _voices
from suites.speech._clips import COMMANDS, SAMPLES, WORDS
from suites.speech._synthesiser import Utterance, resampled, spoken
from suites.speech._voices import ACCENTS, LOUDNESSES, VARIANTS, placed, recorded
from suites.speech.spoken import SpokenWords

pytest.importorskip("espeakng_loader")
HELLO = Utterance("en+m1", 150, 50, 50, "happy")
DIGEST = """
import hashlib, torch
from harness.core.seeding import stream
from suites.speech._clips import WORDS
from suites.speech._voices import recorded
clips = recorded(torch.arange(6), WORDS, "test", stream("tests"))
print(hashlib.sha256(clips.numpy().tobytes()).hexdigest())
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the splits small and keep them nowhere for long."""
    monkeypatch.setattr(SpokenWords, "examples", {"train": 70, "validation": 35, "test": 35})
    monkeypatch.setattr(SpokenWords, "shard_size", 35)
    with use_shard_dir(tmp_path):
        yield


def test_another_process_speaks_the_same_bytes() -> None:
    clips = recorded(torch.arange(6), WORDS, "test", stream("tests"))
    other = subprocess.run(
        [sys.executable, "-c", DIGEST],
        env={**os.environ, "OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert other.stdout.strip() == hashlib.sha256(clips.numpy().tobytes()).hexdigest()


def test_what_was_said_before_does_not_change_a_word() -> None:
    first = spoken([HELLO])
    spoken([HELLO._replace(voice="en-US+f1", rate=300, pitch=90), HELLO])

    np.testing.assert_array_equal(spoken([HELLO])[0], first[0])


def test_every_voice_and_every_accent_sounds_different() -> None:
    voices = [f"en+{name}" for names in VARIANTS.values() for name in names.split()]
    accents = [f"{accent}+m1" for accent in ACCENTS.split()]
    sounds = spoken([HELLO._replace(voice=voice, word="house") for voice in voices + accents])

    # espeak-ng passes over a variant it does not have, which would sound like another such one.
    assert len({sound.tobytes() for sound in sounds[: len(voices)]}) == len(voices) == 64
    assert len({sound.tobytes() for sound in sounds[len(voices) :]}) == len(accents) == 8
    assert min(map(len, sounds)) > SAMPLES / 10


def test_no_voice_is_heard_in_two_splits() -> None:
    everyone = [name for names in VARIANTS.values() for name in names.split()]

    assert len(set(everyone)) == len(everyone)


@pytest.mark.parametrize("split", VARIANTS)
def test_a_split_is_spoken_by_its_own_voices(
    split: Split, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Utterance] = []

    def spy(utterances: list[Utterance]) -> list[np.ndarray]:
        asked.extend(utterances)
        return [np.ones(10) for _ in utterances]

    monkeypatch.setattr(_voices, "spoken", spy)
    batch = SpokenWords().split(split)

    assert {said.voice.partition("+")[2] for said in asked} <= set(VARIANTS[split].split())
    assert {said.voice.partition("+")[0] for said in asked} <= set(ACCENTS.split())
    assert [said.word for said in asked] == [WORDS[label] for label in batch.targets.tolist()]


@pytest.mark.parametrize(("words", "vocabulary"), [(35, WORDS), (10, COMMANDS)])
def test_each_word_is_said_equally_often(words: int, vocabulary: tuple[str, ...]) -> None:
    task = SpokenWords(words=words)
    counts = {count for count in SpokenWords.examples.values() if count % task.shard_size}

    assert not counts
    assert task.shard_size % len(vocabulary) == 0
    assert task.vocabulary == vocabulary
    assert task.chance == 1 / words


def test_a_clip_is_a_word_of_usual_loudness_in_a_second(small: None) -> None:
    task = SpokenWords()
    batch = task.split("validation")

    assert batch.inputs.shape == (35, SAMPLES, 1)
    assert batch.inputs.dtype == torch.float32
    assert batch.targets.bincount(minlength=35).tolist() == [1] * 35
    assert 0.2 < batch.inputs.std() < 2
    assert (batch.inputs != 0).float().mean() > 0.5  # silence hisses


def test_at_8_khz_every_second_sample_of_the_test_is_kept(small: None) -> None:
    task = SpokenWords()
    [(name, made)] = task.evaluations().items()
    test, half = task.split("test"), made()

    assert (name, half.rate) == ("8 kHz", 2)
    assert half.batch.inputs.shape == (35, SAMPLES // 2, 1)
    assert torch.equal(half.batch.inputs, test.inputs[:, ::2])
    assert torch.equal(half.batch.targets, test.targets)


@given(
    length=st.integers(1, 2 * SAMPLES),
    loudness=st.floats(*LOUDNESSES),
    onset=st.floats(0, 1, exclude_max=True),
)
def test_a_sound_is_placed_whole_or_cut_at_the_end(
    length: int, loudness: float, onset: float
) -> None:
    sound = np.linspace(1, 2, length)
    [clip] = placed([sound], np.array([loudness]), np.array([onset])).numpy()
    heard = np.flatnonzero(clip)
    kept = sound[:SAMPLES]

    assert len(heard) == len(kept) == heard[-1] - heard[0] + 1
    np.testing.assert_allclose(np.mean(clip[heard] ** 2) ** 0.5, loudness)
    np.testing.assert_allclose(clip[heard] / clip[heard[0]], kept / kept[0])


@given(st.integers(1, 3000))
def test_sounds_are_resampled_as_scipy_does_it(length: int) -> None:
    sound = np.sin(np.arange(length) ** 1.3)

    np.testing.assert_allclose(resampled(sound), resample_poly(sound, 320, 441), atol=1e-12)


def test_without_espeak_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(UnsupportedError, match="run `pip install espeakng-loader`"):
        spoken([HELLO])


def test_an_unknown_language_is_one_sentence() -> None:
    with pytest.raises(UnsupportedError, match=r"could not speak: .*no voice 'xx'"):
        spoken([HELLO._replace(voice="xx")])


def discriminated(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return the class of the nearest centroid, in units of the spread within classes."""
    centroids = np.stack([train[labels == label].mean(0) for label in range(35)])
    spread = np.linalg.cholesky(np.linalg.inv(np.cov(train - centroids[labels], rowvar=False)))
    return np.square((test @ spread)[:, None] - centroids @ spread).sum(-1).argmin(1)


def envelope(clips: torch.Tensor) -> np.ndarray:
    """Return (b, 2): how long a clip is louder than its noise, and the logarithm of its energy."""
    frames = clips[..., 0].unflatten(1, (100, 160)).square().mean(2)
    loud = (frames > 4 * frames.median(1, keepdim=True).values).sum(1)
    return torch.stack([loud.float(), frames.sum(1).log()], 1).numpy()


def spectrum(clips: torch.Tensor) -> np.ndarray:
    """Return (b, 25): the mean over time of the logarithm of the power in bands of 320 Hz."""
    power = np.square(np.abs(stft(clips[..., 0].numpy(), nperseg=400, noverlap=240)[2]))
    bands = power[:, :200].reshape(len(clips), 25, 8, -1).mean(2)
    return np.log(bands + 1e-6).mean(2)


@pytest.mark.slow
def test_the_shortcuts_reach_what_is_stated(tmp_path: Path) -> None:
    task = SpokenWords()
    with use_shard_dir(tmp_path):
        test = task.split("test")
        train = [task.prepare(shard()) for shard in task.shards("train")]
    inputs = torch.cat([batch.inputs for batch in train])
    labels = torch.cat([batch.targets for batch in train]).numpy()
    found = []
    for features in (envelope, spectrum):
        guesses = discriminated(features(inputs), labels, features(test.inputs))
        found.append((guesses == test.targets.numpy()).mean())

    assert found == pytest.approx(list(task.shortcuts.values()), abs=0.02)
