"""Ray: the same bytes as here, on a cluster of two nodes, and when one of them is lost.

    AUDIOTOK_RAY=1 python -m pytest tests/corpora/test_on_ray.py

A local cluster takes half a minute to start, so these run only when they are asked for.
"""

import os
import sys

import pytest
from support.shard_kit import contents, encode

from audiotok import corpora
from audiotok.errors import CorpusError, MissingPackageError


def test_without_ray(clips, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'audiotok\[ray\]'"):
        encode(clips, tmp_path / "tokens", executor="ray")


@pytest.fixture
def cluster():
    if not os.environ.get("AUDIOTOK_RAY"):
        pytest.skip("takes a minute: set AUDIOTOK_RAY=1 to run it")
    ray = pytest.importorskip("ray", reason="needs the package ray")
    from ray.cluster_utils import Cluster

    memory = {"object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1} | memory)
    second = cluster.add_node(num_cpus=1, **memory)
    cluster.wait_for_nodes()
    try:
        yield cluster, second
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_two_nodes_and_the_loss_of_one(cluster, clips, tmp_path):
    nodes, second = cluster
    encode(clips, tmp_path / "here", shard_clips=2)
    settings = {"shard_clips": 2, "executor": "ray", "address": nodes.address}
    encode(clips, tmp_path / "two", **settings)
    assert contents(tmp_path / "two") == contents(tmp_path / "here")
    lost = []

    class Loses(corpora.Progress):
        done = 0

        def tick(self, count, seconds):
            self.done += count
            if self.done >= 12 and not lost:
                nodes.remove_node(second, allow_graceful=False)
                lost.append(self.done)

    done = encode(clips, tmp_path / "one", progress=Loses(), **settings)
    assert lost and lost[0] < 41
    assert (done.clips, len(done.failures)) == (40, 1)
    assert contents(tmp_path / "one") == contents(tmp_path / "here")


def test_mistakes_come_back_as_one_line(cluster, clips, tmp_path):
    from audiotok.corpora import encoder, executors
    from audiotok.errors import CodecError

    job = encoder.Job("no-such-codec", None, "cpu", "strict", 8.0, 0, "{}")
    with pytest.raises(CodecError, match="no codec 'no-such-codec'"):
        list(executors.on_ray(job, [encoder.Work(0, [])], lambda *_: None, cluster[0].address))
    gpu = encoder.Job("mulaw", None, "cuda:0", "strict", 8.0, 0, "{}")
    with pytest.raises(CorpusError, match="the Ray cluster has no GPU"):
        list(executors.on_ray(gpu, [], lambda *_: None, None))
