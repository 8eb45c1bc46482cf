"""Speech Commands: from a small archive in the original layout, over HTTP, to scaled clips."""

import io
import struct
import tarfile
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from harness.api import SpecError, Split
from harness.data.cache import data_dir
from harness.testing import NotApplicableError, checks_for
from suites.speech import _recordings
from suites.speech._clips import COMMANDS, SAMPLES, WORDS
from suites.speech._commands import ARCHIVE, EXTENSIBLE, PCM, Contents, samples
from suites.speech._recordings import RecordedTask
from suites.speech.sc10 import SpeechCommands10, stratified
from suites.speech.sc35 import SpeechCommands35
from tests.served import Site, served

SHORT, LONG = SAMPLES - 3000, SAMPLES + 500
EACH = 5
"""Clips of a word: one too short, one too long, one to test, one to validate, one more."""


def sound(length: int, number: int) -> np.ndarray:
    """Return a ramp that tells clips apart: its first sample is the clip's number."""
    ramp = np.arange(length) * (number % 7 + 1) % 6000 - 3000
    return np.concatenate([[number], ramp[1:]]).astype("<i2")


def wav(signal: np.ndarray, rate: int = SAMPLES, channels: int = 1) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(signal.itemsize)
        file.setframerate(rate)
        file.writeframes(signal.tobytes())
    return out.getvalue()


def clip_name(number: int) -> str:
    return f"{WORDS[number // EACH]}/{number:08x}_nohash_{number % 3}.wav"


def small() -> dict[str, bytes]:
    """Return 175 clips word by word, their lists, and what else is in the archive."""
    numbers = range(EACH * len(WORDS))
    lengths = [{0: SHORT, 1: LONG}.get(number % EACH, SAMPLES) for number in numbers]
    clips = {
        clip_name(n): wav(sound(length, n)) for n, length in zip(numbers, lengths, strict=True)
    }
    return {
        "README.md": b"# Speech Commands",
        "_background_noise_/white_noise.wav": wav(sound(3 * SAMPLES, 999)),
        **clips,
        "testing_list.txt": listed(numbers[2::EACH]),
        "validation_list.txt": listed(numbers[3::EACH]),
    }


def listed(numbers: range) -> bytes:
    return "".join(f"{clip_name(number)}\n" for number in numbers).encode()


def packed(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@contextmanager
def offered(files: Mapping[str, bytes], folder: Path) -> Iterator[Site]:
    """Let the tasks believe that an archive of these files is the original, and shards be small."""
    with served() as site, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSM_BENCH_DATA", str(folder))
        patch.delenv("SSM_BENCH_MIRROR", raising=False)
        patch.setattr(_recordings, "ARCHIVE", site.put(ARCHIVE.name, packed(files)))
        patch.setattr(_recordings, "SHARD_SIZE", 20)
        patch.setattr(_recordings, "SHARDS_PER_PASS", 3)
        RecordedTask.spread.cache_clear()
        yield site
        RecordedTask.spread.cache_clear()


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Offer the small archive to all tests, so that it is parsed once."""
    with offered(small(), tmp_path_factory.mktemp("speech")) as site:
        yield site


@pytest.mark.parametrize("task", [SpeechCommands35(), SpeechCommands10()], ids=lambda t: t.name)
def test_every_check_that_applies_passes_on_small_data(task: RecordedTask, fetched: Site) -> None:
    skipped = []
    for check in checks_for(task):
        try:
            check(task)
        except NotApplicableError:
            skipped.append(check.name)

    assert skipped == ["oracle-scores-perfectly", "shortcuts-are-better-than-chance"]


def raw(task: RecordedTask, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all 16-bit samples and labels of a split."""
    parts = [shard() for shard in task.shards(split)]
    return torch.cat([p.inputs for p in parts]), torch.cat([p.targets for p in parts])


def numbers_in(task: RecordedTask, split: Split) -> list[int]:
    return raw(task, split)[0][:, 0].tolist()


def test_the_lists_say_which_clips_validate_and_test(fetched: Site) -> None:
    task, whole = SpeechCommands35(), set(range(EACH * len(WORDS)))
    validation, test = numbers_in(task, "validation"), numbers_in(task, "test")

    assert sorted(test) == sorted(whole)[2::EACH]
    assert sorted(validation) == sorted(whole)[3::EACH]
    assert sorted(numbers_in(task, "train")) == sorted(whole - {*test, *validation})
    assert fetched.asked == [ARCHIVE.name]


@pytest.mark.parametrize("task", [SpeechCommands35(), SpeechCommands10()], ids=lambda t: t.name)
def test_clips_keep_their_words(task: RecordedTask, fetched: Site) -> None:
    inputs, labels = raw(task, "train")
    words = [WORDS[number // EACH] for number in inputs[:, 0].tolist()]

    assert inputs.dtype == torch.int16
    assert [task.vocabulary[label] for label in labels.tolist()] == words


def test_clips_are_cut_to_a_second_or_filled_up_with_zeros(fetched: Site) -> None:
    inputs, _ = raw(SpeechCommands35(), "train")
    lengths = {0: SHORT, 1: SAMPLES, 4: SAMPLES}

    for clip in inputs.numpy():
        length = lengths[int(clip[0]) % EACH]
        np.testing.assert_array_equal(clip[:length], sound(LONG, int(clip[0]))[:length])
        assert not clip[length:].any()


def test_a_shard_holds_many_words_and_a_split_is_the_same_again(fetched: Site) -> None:
    task = SpeechCommands35()
    shards = [shard() for shard in task.shards("train")]

    assert [len(shard) for shard in shards] == [20] * 5 + [5]
    assert min(len(set(shard.targets.tolist())) for shard in shards[:-1]) > 10
    assert task.key == SpeechCommands35(scale="s4-code").key
    assert torch.equal(task.split("test").inputs, SpeechCommands35().split("test").inputs)


def test_training_samples_are_standardised_together(fetched: Site) -> None:
    task = SpeechCommands35()
    inputs, _ = raw(task, "train")
    batches = list(islice(task.train_batches(15), 7))
    signal = inputs.double()
    test = (raw(task, "test")[0].double() - signal.mean()) / (signal.std() + 2**15 * 1e-5)

    assert all(batch.inputs.shape == (15, SAMPLES, 1) for batch in batches)
    torch.testing.assert_close(task.split("test").inputs[..., 0], test.float())
    assert torch.equal(task.split("test").targets, raw(task, "test")[1])


def test_the_scale_of_s4s_code_divides_once_too_often(fetched: Site) -> None:
    once = SpeechCommands35().split("test").inputs.double()
    twice = SpeechCommands35(scale="s4-code").split("test").inputs.double()
    deviation = raw(SpeechCommands35(), "train")[0].double().std() / 2**30

    assert deviation < 1e-5  # so what is added outweighs it
    torch.testing.assert_close(twice, once * deviation / (deviation + 1e-5), rtol=1e-3, atol=1e-5)


def test_at_8_khz_every_second_sample_is_kept(fetched: Site) -> None:
    task = SpeechCommands35()
    half = task.evaluations()["8 kHz"]()

    assert half.rate == 2
    assert torch.equal(half.batch.inputs, task.split("test").inputs[:, ::2])


def test_ten_words_are_dealt_out_whole_seconds_only(fetched: Site) -> None:
    task = SpeechCommands10()
    splits: list[Split] = ["train", "validation", "test"]
    parts = {split: numbers_in(task, split) for split in splits}
    # A fifth of the clips is short, a fifth is long: three of each word remain.
    whole = [EACH * WORDS.index(word) + i for word in COMMANDS for i in (2, 3, 4)]

    assert sorted(number for part in parts.values() for number in part) == sorted(whole)
    assert {split: len(part) for split, part in parts.items()} == {
        "train": 21,
        "validation": 4,
        "test": 5,
    }


@given(st.lists(st.integers(2000, 4000), min_size=2, max_size=10))
def test_clips_are_dealt_out_in_the_numbers_of_scikit_learn(sizes: list[int]) -> None:
    classes = [[f"{word}/{i}" for i in range(size)] for word, size in enumerate(sizes)]
    labels = np.repeat(np.arange(len(sizes)), sizes)
    taken, left = stratified(classes, 0.7)
    ours = [len(names) for names in taken]
    theirs, rest = train_test_split(labels, train_size=0.7, random_state=0, stratify=labels)

    assert sum(ours) == len(theirs)
    assert sum(map(len, left)) == len(rest)
    # Which of two equal remainders is rounded up is drawn there.
    assert np.abs(np.bincount(theirs, minlength=len(sizes)) - ours).max() <= 1
    assert [a + b for a, b in zip(taken, left, strict=True)] == classes


def test_the_published_sizes_follow_from_the_archives() -> None:
    ten = {f"{COMMANDS[i % 10]}/{i}.wav": SAMPLES for i in range(34_975)}
    all_words = {f"{WORDS[i % 35]}/{i}.wav": SAMPLES for i in range(105_829)}
    names = list(all_words)
    lists = {
        "validation_list.txt": frozenset(names[:9981]),
        "testing_list.txt": frozenset(names[-11_005:]),
    }
    parts10 = SpeechCommands10().split_names(Contents(ten, lists))
    parts35 = SpeechCommands35().split_names(Contents(all_words, lists))

    assert [len(part) for part in parts10.values()] == [24_482, 5246, 5247]
    assert [len(part) for part in parts35.values()] == [84_843, 9981, 11_005]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"testing_list.txt": None}, "holds no testing_list.txt"),
        (
            {clip_name(2): None},
            r"testing_list.txt names 35 clips, 1 of which .* such as backward/00000002",
        ),
        ({clip_name(0): b"RIFFnothing"}, "backward/00000000_nohash_0.wav is no wav file"),
        (
            {clip_name(0): wav(sound(SHORT, 0), rate=8000)},
            r"samples a second\) \(1, 2, 8000\), not \(1, 2, 16000\)",
        ),
        ({clip_name(0): wav(sound(SHORT, 0))[:-1]}, "ends before its last sample"),
        ({"validation_list.txt": b"\xff\xfe"}, "validation_list.txt is no text in UTF-8"),
        ({"validation_list.txt": b"\n"}, "validation_list.txt names no clip"),
        ({"sheila2/1.wav": wav(sound(SHORT, 0))}, "sheila2/1.wav is of none of the 35 words"),
    ],
    ids=[
        "no list",
        "a clip is missing",
        "no wav",
        "another rate",
        "half a sample",
        "no text",
        "an empty list",
        "another word",
    ],
)
def test_an_archive_that_is_not_the_original_is_one_sentence(
    tmp_path: Path, change: dict[str, bytes | None], sentence: str
) -> None:
    files = {name: content for name, content in (small() | change).items() if content is not None}

    with offered(files, tmp_path), pytest.raises(SpecError, match=sentence) as caught:
        SpeechCommands35().split("test")
    assert "\n" not in str(caught.value)


def test_the_archive_is_not_unpacked(fetched: Site) -> None:
    SpeechCommands35().split("test")

    endings = {path.suffix for path in data_dir().rglob("*")}
    assert {".gz", ".npz"} <= endings
    assert not {".wav", ".txt"} & endings


def test_samples_are_read_as_signed_16_bit(tmp_path: Path) -> None:
    signal = np.array([0, 1, -1, 2**15 - 1, -(2**15)], "<i2")

    (tmp_path / "b.wav").write_bytes(wav(signal))
    with (tmp_path / "b.wav").open("rb") as file:
        np.testing.assert_array_equal(samples("a/b.wav", file), signal)


def test_the_long_form_of_the_format_tag_is_read(tmp_path: Path) -> None:
    signal = sound(100, 7)
    short = wav(signal)
    start = short.index(b"fmt ")
    extension = struct.pack("<HHI", 22, 16, 4) + PCM
    chunk = b"fmt " + struct.pack("<I", 40) + EXTENSIBLE + short[start + 10 : start + 24]
    riff = b"RIFF" + struct.pack("<I", len(short) + 24 - 8) + short[8:start]
    (tmp_path / "c.wav").write_bytes(riff + chunk + extension + short[start + 24 :])

    with (tmp_path / "c.wav").open("rb") as file:
        np.testing.assert_array_equal(samples("a/c.wav", file), signal)
