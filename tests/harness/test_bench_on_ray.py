"""Bench on Ray: the same bytes as here, on a cluster of two nodes, and when one of them is lost.

AUDIOTOK_RAY=1 python -m pytest tests/harness/test_bench_on_ray.py
"""

import os
import sys

import pytest

from audiotok.errors import AudiotokError, MissingPackageError
from audiotok.harness import harness
from audiotok.harness.plan import Observer
from audiotok.harness.settings import BenchSettings

SUITE = """
name: rays
version: 1
description: For the tests of Ray.
data: bundled
tasks: [reconstruction, tokens]
"""


def measure(tmp_path, out, observer=None, **settings):
    suite = tmp_path / "rays.yaml"
    suite.write_text(SUITE)
    about = {"suite": suite, "limit": 12, "out": tmp_path / out, "reuse": "fresh"}
    harness.run(BenchSettings(tokenizer="mulaw", **about, **settings), observer)
    return {
        path.relative_to(tmp_path / out): path.read_bytes()
        for name in ("rows.parquet", "summary.json")
        for path in sorted((tmp_path / out).rglob(name))
    }


def test_what_cannot_be(tmp_path, monkeypatch):
    with pytest.raises(AudiotokError, match="executor is one of local, ray"):
        harness.bench("mulaw", executor="slurm")
    with pytest.raises(AudiotokError, match="an address is for ray alone"):
        harness.bench("mulaw", address="auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'audiotok\[ray\]'"):
        measure(tmp_path, "none", executor="ray")


def test_two_nodes_and_the_loss_of_one(tmp_path):
    if not os.environ.get("AUDIOTOK_RAY"):
        pytest.skip("takes a minute: set AUDIOTOK_RAY=1 to run it")
    ray = pytest.importorskip("ray", reason="needs the package ray")
    from ray.cluster_utils import Cluster

    memory = {"object_store_memory": 100 * 2**20}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1} | memory)
    second = nodes.add_node(num_cpus=1, **memory)
    nodes.wait_for_nodes()
    lost = []

    class Loses(Observer):
        def progress(self, name, done, total):
            if name.startswith("mulaw") and done == 2 and not lost:
                nodes.remove_node(second, allow_graceful=False)
                lost.append(done)

    try:
        here = measure(tmp_path, "here", workers=1)
        assert len(here) == 6  # reference, mulaw, random
        settings = {"executor": "ray", "address": nodes.address}
        assert measure(tmp_path, "two", **settings) == here
        assert measure(tmp_path, "one", observer=Loses(), **settings) == here
        assert lost
    finally:
        ray.shutdown()
        nodes.shutdown()
