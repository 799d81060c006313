"""A script without a main guard: bench DATA into OUT; dies by SIGKILL at its N-th moment.

python bench_driver.py DATA SUITE OUT WORKERS [N ...]: one attempt per N, each in a fork; then runs
to the end, and prints how many died, and how many clips were encoded in all. Moments are before and
after whatever is encoded, decoded, concluded, synchronised or renamed.
"""

import os
import signal
import sys

import bench_kit

from audiotok import harness
from audiotok.codec import Codec

data, suite, out, workers, *points = sys.argv[1:]
bench_kit.install()
encoded = os.open(f"{out}.encoded", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
left = [0]


def moment():
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def deadly(owner, name):
    body = getattr(owner, name)

    def between(*arguments, **named):
        moment()
        found = body(*arguments, **named)
        if name == "encode":
            os.write(encoded, b"e")
        moment()
        return found

    setattr(owner, name, between)


for owner, name in (Codec, "encode"), (Codec, "decode"), (os, "fsync"), (os, "replace"):
    deadly(owner, name)
deadly(bench_kit.Rank, "conclude")


def attempt() -> None:
    harness.run("resample-16k", data, suite, out=out, workers=int(workers))


died = 0
for point in map(int, points):
    if (child := os.fork()) == 0:
        left[0] = point
        attempt()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    died += os.WIFSIGNALED(status)
attempt()
print(died, os.path.getsize(f"{out}.encoded"))
