"""What `bench` prints below its table."""

import pytest
from support.result_kit import put

from audiotok.cli import show
from audiotok.results import results


@pytest.mark.parametrize(
    ("seconds", "headline", "told"),
    [
        ([0.5, 0.5], ["pesq", "seconds_encode"], True),
        ([0.5, 0.5], ["pesq"], False),  # the table has no speed
        ([float("nan")] * 2, ["pesq", "seconds_encode"], False),  # none was measured
    ],
)
def test_hardware_is_named_where_a_speed_is_shown(tmp_path, capsys, seconds, headline, told):
    put(tmp_path, "one", {"pesq": [1.0, 2.0]}, {"seconds_encode": seconds}, hardware="a slow CPU")
    show.bench_table(results.read_all(tmp_path), headline)
    assert ("a slow CPU" in capsys.readouterr().out) == told
