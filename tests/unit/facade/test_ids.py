"""Ids are given out once, also by a process that was forked."""

import re
import subprocess
import sys

from facade.ids import new_id


def test_each_is_given_out_once() -> None:
    made = [new_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)


FORKS = """
import os
from facade.ids import new_id
new_id()  # there are some in supply now
if child := os.fork():
    os.waitpid(child, 0)
print(*(new_id() for _ in range(200)), flush=True)
"""


def test_a_forked_process_gives_out_others() -> None:
    ran = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True)
    assert len(set(ran.stdout.split())) == 400
