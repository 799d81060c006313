"""A script without a main guard: bench DATA into OUT; dies by SIGKILL at its N-th moment.

python bench_driver.py DATA SUITE OUT N ...: once without dying, into OUT-whole; then one attempt
per N, each in a fork, those below 0 with a process that scores, at 0 inside of the next conclusion;
then to the end. Prints how many died, and how many clips were encoded in all, first of OUT-whole.
Moments are before and after whatever is encoded, decoded, concluded, synchronised or renamed.
"""

import os
import signal
import sys

from audiotok.codec import Codec
from audiotok.harness import harness
from support import bench_kit

data, suite, out, *points = sys.argv[1:]
bench_kit.install()
encoded = os.open(f"{out}-encoded", os.O_CREAT | os.O_APPEND | os.O_RDWR)
left, concluding = [0], [False]


def moment(name):
    left[0] -= 1
    if left[0] == 0 or (left[0] < 0 and name == "conclude" and concluding[0]):
        os.kill(os.getpid(), signal.SIGKILL)


def deadly(owner, name):
    body = getattr(owner, name)

    def between(*arguments, **named):
        moment(name)
        found = body(*arguments, **named)
        if name == "encode":
            os.write(encoded, b"e")
        moment(name)
        return found

    setattr(owner, name, between)


for owner, name in (Codec, "encode"), (Codec, "decode"), (os, "fsync"), (os, "replace"):
    deadly(owner, name)
deadly(bench_kit.Rank, "conclude")


def attempt(out: str, workers: int = 0) -> None:
    os.environ["AUDIOTOK_CACHE"] = f"{out}-cache"
    harness.run("resample-16k", data, suite, out=out, workers=workers)


attempt(f"{out}-whole")
counted = os.fstat(encoded).st_size
died = 0
for point in map(int, points):
    if (child := os.fork()) == 0:
        left[0], concluding[0] = abs(point), point == 0
        attempt(out, workers=int(point < 0))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    died += os.WIFSIGNALED(status)
attempt(out)
print(died, counted, os.fstat(encoded).st_size - counted)
