"""Vital signs: files in the archive's layout, and which windows may be told apart from which."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from harness.api import SpecError
from suites.signals._bidmc import SAMPLES
from suites.signals._recordings import LEAST, from_neighbours, overlaps, recordings
from suites.signals._splits import split_recordings, split_windows
from suites.signals._ts import cases
from suites.signals.bidmc_hr import HeartRate
from suites.signals.bidmc_rr import RespiratoryRate
from suites.signals.bidmc_spo2 import OxygenSaturation

STRIDE = 375
HEADER = """# made for a test
@problemName BIDMC32HR
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength true
@seriesLength 4000
@targetlabel true
@data
"""
SPLITS = ("train", "validation", "test")


def drawn(count: int, windows: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Cut overlapping windows from recordings of noise, with five decimals as in the files.

    Returns:
        (n, 4000, 2) windows and the (n,) recordings that they come from, shuffled.
    """
    rng = np.random.default_rng(0)
    length = SAMPLES + (windows - 1) * STRIDE
    made = rng.random((count, length, 2)).round(5).astype(np.float32)
    cut = [made[r, i * STRIDE :][:SAMPLES] for r in range(count) for i in range(windows)]
    order = rng.permutation(len(cut))
    return np.stack(cut)[order], np.repeat(np.arange(count), windows)[order]


def line(window: np.ndarray, target: float) -> str:
    channels = [",".join(f"{value:.5f}" for value in channel) for channel in window.T]
    return ":".join([*channels, str(target)])


def written(windows: np.ndarray, targets: np.ndarray) -> bytes:
    lines = [line(window, target) for window, target in zip(windows, targets, strict=True)]
    return (HEADER + "\n".join(lines) + "\n").encode()


@pytest.fixture(scope="module")
def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eight recordings of three windows, and targets that name the window."""
    windows, origin = drawn(8, windows=3)
    return windows, origin, np.arange(24) + 60.0


@pytest.fixture(scope="module")
def contents(made) -> dict[str, bytes]:
    windows, _, targets = made
    return {
        "TRAIN": written(windows[:16], targets[:16]),
        "TEST": written(windows[16:], targets[16:]),
    }


@pytest.fixture
def mirrored(site, contents, monkeypatch) -> None:
    for part, content in contents.items():
        site.put(f"bidmc/BIDMC32HR_{part}.ts", content)
    monkeypatch.setenv("SSM_BENCH_MIRROR", site.address)
    monkeypatch.setattr(HeartRate, "windows", 24)


def test_windows_and_targets_come_from_both_files_as_they_stand_there(mirrored, made) -> None:
    windows, _, targets = made
    splits = [HeartRate().split(split) for split in SPLITS]

    inputs = torch.cat([split.inputs for split in splits])
    found = torch.cat([split.targets for split in splits]).flatten()

    assert found.sort().values.tolist() == targets.tolist()
    np.testing.assert_array_equal(inputs[found.argsort()], windows)


def test_chance_is_the_error_of_the_training_mean(mirrored) -> None:
    task = HeartRate()
    train, test = task.split("train").targets, task.split("test").targets

    guess = task.outputs.constant(train).expand_as(test)

    score = task.outputs.score(task.outputs.per_example(guess, test), 1)
    assert task.chance == pytest.approx(score["rmse"], rel=1e-5)


@pytest.mark.parametrize("count", [7, 60, 7949])
def test_windows_are_split_as_the_published_code_splits_them(count) -> None:
    train, held = train_test_split(np.arange(count), test_size=0.3, random_state=0)
    validation, test = train_test_split(held, test_size=0.5, random_state=1)

    rows_of = split_windows(count)

    for split, rows in zip(SPLITS, (train, validation, test), strict=True):
        np.testing.assert_array_equal(rows_of[split], rows)


def test_recordings_are_split_whole_and_share_no_sample(mirrored, made) -> None:
    _, origin, _ = made
    task = HeartRate(divided="recordings")

    rows = [(task.split(split).targets.flatten() - 60).long().numpy() for split in SPLITS]

    assert sorted(np.concatenate(rows)) == list(range(24))
    of_split = [set(origin[part]) for part in rows]
    assert [len(part) for part in of_split] == [5, 1, 2]
    assert len(set.union(*of_split)) == 8

    guess = task.shortcut_predictions(task.split("test"))["overlapping windows"]
    assert torch.equal(guess, task.split("train").targets.mean().expand(6, 1, 1))


def test_in_the_published_deal_overlapping_training_windows_tell_the_answer() -> None:
    windows, origin = drawn(10)
    rows, targets = split_windows(60), origin.astype(np.float32)

    told = from_neighbours(windows[rows["train"]], targets[rows["train"]], windows[rows["test"]])

    assert (told == targets[rows["test"]]).mean() > 0.9


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=5)
def test_where_a_recording_falls_does_not_depend_on_the_order_of_the_files(seed) -> None:
    windows, _ = WINDOWS
    order = np.random.default_rng(seed).permutation(len(windows))

    before, after = split_recordings(windows), split_recordings(windows[order])

    for split in SPLITS:
        assert sorted(order[after[split]]) == before[split].tolist()


WINDOWS = drawn(7, windows=2)


def test_windows_of_one_recording_are_found_and_no_others() -> None:
    windows, origin = drawn(5)

    numbers = recordings(overlaps(windows), len(windows))

    for number in range(5):
        assert len(set(origin[numbers == number])) == 1
    assert len(set(numbers)) == 5


def test_each_pair_says_which_window_begins_within_the_other() -> None:
    windows, _ = drawn(1, windows=4)
    order = [int(np.flatnonzero((windows == window).all((1, 2)))[0]) for window in windows]
    assert order == [0, 1, 2, 3]

    for first, second in overlaps(windows):
        places = [k for k in range(SAMPLES) if (windows[first, k] == windows[second, 0]).all()]
        assert any(
            np.array_equal(windows[first, k:], windows[second, : SAMPLES - k]) for k in places
        )
    assert len(overlaps(windows)) == 6


def test_a_common_beginning_alone_links_nothing() -> None:
    windows, _ = drawn(2, windows=1)
    windows[1, :1000] = windows[0, 2000:3000]

    assert len(overlaps(windows)) == 0


def test_less_than_four_seconds_in_common_link_nothing() -> None:
    windows, _ = drawn(2, windows=1)
    windows[1, : LEAST - 1] = windows[0, -(LEAST - 1) :]
    assert len(overlaps(windows)) == 0

    windows[1, :LEAST] = windows[0, -LEAST:]
    assert overlaps(windows).tolist() == [[0, 1]]


def test_dead_sensors_do_not_link_recordings() -> None:
    windows, _ = drawn(2, windows=1)
    windows[0, -1000:] = 0
    windows[1, :1000] = 0

    assert len(overlaps(windows)) == 0


def test_windows_that_share_nothing_are_not_taken_for_recordings() -> None:
    windows, _ = drawn(12, windows=1)

    with pytest.raises(SpecError, match=r"of 12 windows 12 share no .* use divided=windows"):
        split_recordings(windows)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2:3,4:90", r"Line 11 of .* \(it has 2 and 2 values, not 4000 and 4000\)"),
        ("90", r"Line 11 of .* \(it has no target\)"),
        (line(np.ones((SAMPLES, 2)), "?"), "Line 11 of .*'?'"),
        (line(np.full((SAMPLES, 2), np.nan), 90), r"Line 11 of .*missing or infinite"),
        (line(np.ones((SAMPLES, 2)), 90).replace("1", "?", 1), "Line 11 of "),
    ],
)
def test_a_malformed_window_is_refused_by_its_line(tmp_path: Path, text, said) -> None:
    path = tmp_path / "BIDMC32HR_TRAIN.ts"
    path.write_text(HEADER + text + "\n")

    with pytest.raises(SpecError, match=said):
        list(cases(path, 2, SAMPLES))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@univariate false\n1:2:3\n", "Line 2 .* before @data"),
        ("@dimensions 2\n", "no line @data"),
    ],
)
def test_a_file_without_its_header_is_refused(tmp_path: Path, text, said) -> None:
    path = tmp_path / "BIDMC32HR_TRAIN.ts"
    path.write_text(text)

    with pytest.raises(SpecError, match=said):
        list(cases(path, 2, SAMPLES))


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_file_that_is_cut_in_its_last_number_is_refused(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "BIDMC32HR_TRAIN.ts"
    path.write_bytes(written(np.ones((2, SAMPLES, 2)), np.array([61.5, 62.5]))[:-lost])
    read = cases(path, 2, SAMPLES)

    assert next(read)[1] == 61.5
    with pytest.raises(SpecError, match=r"Line 12 of .* is broken \(it has no end, as if .* cut"):
        next(read)


@pytest.mark.parametrize("part", ["TRAIN", "TEST"])
def test_a_file_that_has_lost_windows_is_refused(mirrored, site, contents, part) -> None:
    head, data, _ = contents[part].partition(b"@data\n")
    site.put(f"bidmc/BIDMC32HR_{part}.ts", head + data)

    with pytest.raises(SpecError, match=r"There are (8|16) windows in .*, not the published 24; "):
        HeartRate().split("test")


def test_the_published_number_of_windows_is_asked_for() -> None:
    assert [HeartRate.windows, OxygenSaturation.windows] == [7949, 7949]


def test_each_sign_has_files_of_its_own_at_zenodo() -> None:
    urls = [
        task.files()[1].urls[0] for task in (HeartRate(), RespiratoryRate(), OxygenSaturation())
    ]

    assert urls == [
        "https://zenodo.org/record/4001456/files/BIDMC32HR_TEST.ts",
        "https://zenodo.org/record/4001463/files/BIDMC32RR_TEST.ts",
        "https://zenodo.org/record/4001464/files/BIDMC32SpO2_TEST.ts",
    ]


def test_what_came_first_is_held_to_its_checksum(mirrored, tmp_path: Path, contents) -> None:
    HeartRate().split("test")

    recorded = (tmp_path / "data/bidmc/BIDMC32HR_TEST.ts.sha256").read_text()
    assert recorded.startswith(hashlib.sha256(contents["TEST"]).hexdigest())
