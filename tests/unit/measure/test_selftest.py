"""The self-test passes here, and flags an instrument that is off."""

from harness.measure.selftest import NAPS, SIZES, selftest, verdict


def test_the_instrument_reads_known_amounts():
    assert not [flag for flag in selftest()["flags"] if "MB" in flag]


def test_a_reading_that_is_off_is_flagged_with_both_numbers():
    read = {"bytes": [SIZES[0], SIZES[1] * 1.5, SIZES[2]], "seconds": [NAPS[0], NAPS[1] * 1.1]}

    found = verdict(read)

    assert found["flags"] == ["64 MB read as 96.0 MB", "0.4 s read as 0.4400 s"]
    assert abs(found["memory_error"] - 0.5) < 1e-9


def test_exact_readings_are_not_flagged():
    assert verdict({"bytes": list(SIZES), "seconds": list(NAPS)})["flags"] == []
