import os
import signal
import subprocess
import sys
import time

from cassle.core.files import is_alive

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""
CHILD = """
import time
from cassle.runtime.signals import die_with_parent
die_with_parent()
print("tied", flush=True)
time.sleep(60)
"""


def test_a_child_ends_with_a_parent_that_is_killed():
    command = [sys.executable, "-c", PARENT, CHILD]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    until = time.monotonic() + 20
    while _runs(child) and time.monotonic() < until:
        time.sleep(0.02)
    try:
        assert not _runs(child)
    finally:
        if _runs(child):
            os.kill(child, signal.SIGKILL)


def _runs(pid):
    """Return whether a process runs; one that was not waited for yet does not."""
    if not is_alive(pid):
        return False
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
