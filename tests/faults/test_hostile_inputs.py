"""Whatever stands in a file, a name or a command is read, or refused in one sentence, and soon."""

import dataclasses
import gzip
import itertools
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.codec import decode, encode
from harness.core.errors import SpecError
from harness.core.record import Record
from harness.results.claims import papers, parse_claim
from harness.results.published import published_figures
from harness.results.store import Store
from suites.images._digits import idx
from suites.signals._ts import cases
from tests.faults.hostile_inputs import READERS, fed, findings, mutated, read_wav, sound
from tests.unit.report.made_records import scored

SHORT = {"command lines": 20, "files of records": 100, "archives": 100}
"""Inputs of what takes long to read; of all others, 300."""


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_reader_takes_what_nobody_wrote_in_earnest_or_says_why_not(reader, tmp_path):
    found = findings(reader, SHORT.get(reader.name, 300), 0, tmp_path)

    assert not [f"{given[:200]!r}\n{why}" for given, why in itertools.islice(found, 3)]


NAMED = {reader.name: reader for reader in READERS}
WORDS = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(["s4d", "synthetic/shift", "@1", "[", "]", ",", "=", "1e999", "-", "lr"]),
        st.integers().map(str),
        st.floats().map(str),
    ),
    max_size=12,
).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("name", ["names", "options", "seeds", "limits", "claims"])
@given(given=WORDS)
@settings(max_examples=50)
def test_words_are_read_or_refused_in_one_sentence(name, given, tmp_path_factory):
    assert not fed(NAMED[name], given, tmp_path_factory.getbasetemp())


def test_a_campaign_can_be_repeated_and_changes_what_it_feeds():
    def inputs(seed):
        rng = random.Random(seed)
        return [mutated(rng, NAMED["ts"]) for _ in range(50)]

    assert inputs(0) == inputs(0) != inputs(1)
    assert len(set(inputs(0))) > 40


def test_a_finding_is_told_and_a_reader_that_does_not_answer_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.faults.hostile_inputs.PATIENCE_S", 0.2)
    broken = dataclasses.replace(NAMED["ts"], read=lambda given, folder: 1 / 0)
    stuck = dataclasses.replace(NAMED["ts"], read=lambda given, folder: time.sleep(60))

    assert "ZeroDivisionError" in fed(broken, b"", tmp_path)
    assert "no answer in 0.2 s" in fed(stuck, b"", tmp_path)


# What the campaign has found.


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x1f\x8b\x08", "is no idx file"),
        (b"not packed", "is no idx file"),
    ],
)
def test_a_file_of_digits_that_is_none_is_one_sentence(content, says, tmp_path):
    (tmp_path / "digits.gz").write_bytes(content)

    with pytest.raises(SpecError, match=says):
        idx(tmp_path / "digits.gz")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x08\x01\0\0\0\x02\x01",
        b"\0\0\x08\x01\xff\xff\xff\xff\x01",
        b"\0\0\x0d\x01\0\0\0\x01\x01",
        b"\0\0\x08\x40\0\0\0\x01\x01",
    ],
)
def test_digits_that_are_not_as_many_as_they_say_are_one_sentence(content, tmp_path):
    (tmp_path / "digits.gz").write_bytes(gzip.compress(content))

    with pytest.raises(SpecError, match="is no idx file"):
        idx(tmp_path / "digits.gz")


def test_a_clip_whose_first_part_ends_behind_its_end_is_one_sentence(tmp_path):
    content = sound().replace(b"fmt ", b"`\xd6\x8aK")

    with pytest.raises(SpecError, match="is no wav file"):
        read_wav(content, tmp_path)


def test_a_broken_file_of_claims_is_one_sentence_with_its_name(tmp_path):
    for content in (b"source = \xff", b"source = 1", b"[[[", b'source = "a"\nclaims = [1]'):
        (tmp_path / "broken.toml").write_bytes(content)

        with pytest.raises(SpecError, match=r"broken\.toml is no file of claims"):
            papers(tmp_path)


def test_a_broken_table_of_figures_is_one_sentence_with_its_line(tmp_path):
    for content in (b"source,value\n\xff,1\n", b"source\n" + b"a" * 200_000 + b"\n"):
        (tmp_path / "broken.csv").write_bytes(content)

        with pytest.raises(SpecError, match=r"broken\.csv, line \d"):
            published_figures(tmp_path)


def test_a_sentence_quotes_the_beginning_of_what_is_long(tmp_path):
    (tmp_path / "a.ts").write_bytes(b"@data\n1,2," + b"a" * 9000 + b":1,2,3:4\n")

    for read in (
        lambda: parse_claim("a" * 9000),
        lambda: parse_claim("a ≈ b on c within " + "1" * 9000),
        lambda: list(cases(tmp_path / "a.ts", 2, 3)),
    ):
        with pytest.raises(SpecError) as told:
            read()
        assert len(str(told.value)) < 500


def test_a_record_with_a_long_word_in_place_of_another_is_a_short_fault(tmp_path):
    line = encode(scored()).replace(b'"outcome":"ok"', b'"outcome":"ok' + b"a" * 9000 + b'"')
    (tmp_path / "a.jsonl").write_bytes(line + b"\n")

    [fault] = Store(tmp_path).faults()

    assert len(str(fault)) < 500
    assert "$.outcome" in str(fault)
    with pytest.raises(ValueError, match=r"\$\.outcome") as told:
        decode(line, Record)
    assert len(str(told.value)) < 500
