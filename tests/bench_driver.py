"""A script without a main guard: bench DATA into OUT; dies by SIGKILL before its N-th fsync.

python bench_driver.py DATA SUITE OUT [N ...]: one attempt per N, each in a fork; prints how many
of them died, and then runs to the end.
"""

import os
import signal
import sys

import bench_kit

from audiotok import harness

data, suite, out, *points = sys.argv[1:]
bench_kit.install()


def attempt() -> None:
    harness.run("resample-16k", data, suite, out=out, workers=1)


died = 0
for point in map(int, points):
    if (child := os.fork()) == 0:
        left, fsync = [point], os.fsync

        def counted(file, left=left, fsync=fsync):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            fsync(file)

        os.fsync = counted
        attempt()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    died += os.WIFSIGNALED(status)
print(died)
attempt()
