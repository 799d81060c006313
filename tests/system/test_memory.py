"""Free memory: that of the machine, and of the control group where there is one."""

from audiotok.system import memory


def test_the_smaller_of_machine_and_group_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    machine = memory.free_memory()
    assert 0 < machine < 2**62
    limit, used, cached = 3 * 2**29, 2**30, 2**28
    (tmp_path / "memory.current").write_text(f"{used}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() > machine / 2
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    assert memory.free_memory() == limit - used + cached - memory._RESERVE
