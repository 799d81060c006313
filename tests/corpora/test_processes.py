"""Worker processes end with the process that started them, however that one ends."""

import os
import signal
import time

from audiotok.corpora.processes import starting


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_copies_of_a_killed_process_end():
    """Each copy but the last one shares files with those that were made after it."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            with starting(3, forked=True) as pool:
                os.write(write, " ".join(str(pid) for pid in pool._processes).encode())
                time.sleep(60)
        finally:
            os._exit(1)
    os.close(write)
    pids = [int(pid) for pid in os.read(read, 1000).split()]
    assert len(pids) == 3 and all(map(alive, pids))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    deadline = time.monotonic() + 30
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, pids))
