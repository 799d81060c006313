"""Another process for the promise "processes", forked from one that has only imported audiotok.

Starting Python and importing torch takes seconds of CPU. The parent of the forks is started once
with another seed of hashes; it has loaded no codec and computed nothing, so a fork knows as little
of the codec under test as a new process. tests/testing and tests/cli start real processes too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from types import SimpleNamespace

from audiotok.testing import freshness

_SERVER = """
import json, os, sys, traceback
sys.path[:] = json.loads(sys.stdin.readline())
from audiotok.testing.elsewhere import answer
for line in sys.stdin:
    folder, where, environment = json.loads(line)
    if (child := os.fork()) == 0:
        try:
            os.dup2(2, 1)  # stdout is for the answers of this process
            os.environ.clear()
            os.environ.update(environment)
            os.chdir(where)
            with open(folder + "/request.json") as file:
                sys.path[:] = json.load(file)["path"]
            answer(folder)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@cache
def _server() -> subprocess.Popen:
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": seed},
    )
    print(json.dumps(sys.path), file=server.stdin, flush=True)
    return server


def _run(command, *, env, **_) -> SimpleNamespace:
    """As subprocess.run, for the command of `freshness._ask`."""
    server = _server()
    print(json.dumps([command[-1], os.getcwd(), dict(env)]), file=server.stdin, flush=True)
    return SimpleNamespace(returncode=int(server.stdout.readline()), stderr="")


def install(monkeypatch) -> None:
    stand_in = SimpleNamespace(run=_run, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(freshness, "subprocess", stand_in)
