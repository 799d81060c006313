"""Any bytes in a result are found by validate, or are read as what was measured."""

import json

import pytest
from support import fuzzing, hostile_results

from audiotok.errors import ResultsError
from audiotok.results import results

IN_JSON = fuzzing.in_values(json.loads, fuzzing.as_json)


@pytest.mark.parametrize("name", ["summary.json", "run.json", "rows.parquet", "times.parquet"])
def test_results(tmp_path, fuzz, name):
    folder = hostile_results.write(tmp_path / "results")

    def read(path):
        if found := hostile_results.survives(tmp_path / "results"):
            raise ResultsError(found[0])
        result = results.read(folder)
        told = [results.content_sha256(content) for content in (result.summary, result.run)]
        return *told, result.rows.to_csv(), result.times.to_csv()

    path = folder / name
    mutate = IN_JSON if name.endswith("json") else fuzzing.mutated
    has_hash = name in ("summary.json", "rows.parquet")
    fuzz(path, [path.read_bytes()], read, mutate=mutate, exact=has_hash)
