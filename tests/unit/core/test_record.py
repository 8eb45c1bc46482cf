"""A record is made of a planned run, its result, and what the parent of runs adds."""

import msgspec

from harness.core.config import RunSpec, Selector
from harness.core.messages import Planned, Result
from harness.core.record import Record, merged

PARENT = {"schema", "run_id", "limits", "prediction", "machine", "started", "ended"}


def test_every_field_of_a_record_comes_from_one_side():
    planned, result = set(Planned.__struct_fields__), set(Result.__struct_fields__)
    record = set(Record.__struct_fields__)

    assert not planned & result
    assert record - planned - result == PARENT
    assert planned - record == {
        "skip",
        "ladder",
        "length",
        "accelerator",
        "requirements",
        "point",
        "trials",
    }
    assert result - record == {"conditions", "traceback"}


def test_what_a_record_takes_over_has_one_type_on_both_sides():
    types = {field.name: field.type for field in msgspec.structs.fields(Record)}

    for part in (Planned, Result):
        for field in msgspec.structs.fields(part):
            assert types.get(field.name, field.type) == field.type, field.name


def test_a_record_holds_the_values_of_both_sides_and_those_that_are_added():
    spec = RunSpec(task="synthetic/shift@1[length=8]", model="s4d")
    planned = Planned(spec=spec, task=spec.task, model=spec.model, task_version=1, learns=True)
    result = Result(outcome="failed", reason="No luck.", conditions={"threads": 2})

    record = merged(Record, planned, result, run_id=spec.run_id, started="now")

    assert (record.spec, record.outcome, record.reason) == (spec, "failed", "No luck.")
    assert (record.run_id, record.started) == (spec.run_id, "now")


def test_times_and_bytes_of_another_allocator_are_of_another_place():
    selector, spec = Selector("synthetic/shift"), RunSpec(task="synthetic/shift@1", model="s4d")
    common = {"run_id": "", "outcome": "ok", "task": selector, "model": Selector("s4d")}

    def place(**machine):
        return Record(**common, task_version=1, spec=spec, machine=machine).place

    assert place() == place(allocator="glibc"), "older records do not say"
    assert place(allocator="glibc, memory kept").endswith("allocator glibc, memory kept")
