"""A forked process takes the pages of files that its parent had, and holds as much as that did."""

import json
import subprocess
import sys

import pytest

from harness.measure.machine import python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is mapped")
CODE = """
import json, os
import torch
from harness.measure.mapped import map_again, mapped
from harness.measure.memory import resident
spans, before = mapped(), resident()
ends = os.pipe()
if not os.fork():
    bare = resident()
    done = map_again(spans)
    os.write(ends[1], json.dumps([before, bare, resident(), done]).encode())
    os._exit(0)
os.wait()
print(os.read(ends[0], 1000).decode())
"""


def test_what_a_forked_process_holds_is_what_its_parent_held():
    done = subprocess.run(python("-c", CODE), capture_output=True, check=True)
    before, bare, after, taken = json.loads(done.stdout)

    assert taken
    assert before - bare > 20e6, "or nothing was missing"
    assert after == pytest.approx(before, abs=2e6)


def test_pages_that_are_not_there_any_more_are_not_taken():
    code = "from harness.measure.mapped import map_again; print(map_again([(4096, 4096)]))"

    done = subprocess.run(python("-c", code), capture_output=True, check=True, text=True)

    assert done.stdout == "False\n"
