"""The fixture that every target is given, and the table of `make fuzz`."""

import os

import pytest
from support import fuzzing

COLUMNS = ("tried", "refused", "same", "other")


@pytest.fixture
def fuzz(request, record_property):
    """`fuzzing.fuzz`, its figures kept for the table under the name of the test."""

    def run(*args, **options):
        counts = fuzzing.fuzz(*args, **options)
        name = request.node.name.removeprefix("test_")
        record_property("fuzz", [name, *(counts[column] for column in COLUMNS)])
        return counts

    return run


def pytest_terminal_summary(terminalreporter):
    if "AUDIOTOK_FUZZ_SECONDS" not in os.environ:
        return
    rows, say = [], terminalreporter.write_line
    for kind in ("passed", "failed"):
        for report in terminalreporter.stats.get(kind, []):
            rows += [value for name, value in report.user_properties if name == "fuzz"]
            if kind == "failed":
                say(f"FAILED {report.nodeid}: {report.longreprtext.splitlines()[-1]}")
    say(f"| target | {' | '.join(COLUMNS)} | anything else |")
    say(f"| --- |{' ---: |' * (len(COLUMNS) + 1)}")
    for name, *numbers in sorted(rows):
        say(f"| {name} | {' | '.join(f'{number:,}' for number in numbers)} | 0 |")
