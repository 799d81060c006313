"""Any damage to a journal costs the clips of the lines it touches, and changes no other."""

from support.token_kit import make

from audiotok.harness.journal import Journal

PLAN = {"suite": {"name": "x", "version": 1}, "seed": 0}


def filled(folder):
    journal = Journal(folder, PLAN)
    for index in range(4):
        journal.tokens.add(index, make(num_frames=2, seed=index).to_bytes())
        values = {"pesq": 1.5 + index, "words": 3.0, "transcript": "a\u00e9"}
        failure = {"stage": "score", "message": "ValueError: no", "transient": False}
        entry = {"index": index, "clip": f"c{index}", "values": values, "failures": [failure]}
        journal.append(entry)
    journal.close()
    return journal


def test_journals(tmp_path, fuzz):
    journal = filled(tmp_path)
    good = journal.path.read_bytes()

    def read(path):
        whole = set(good.splitlines(keepends=True)[1:]) & set(path.read_bytes().splitlines(True))
        found = Journal(tmp_path, PLAN)
        found.close()
        assert all(found.entries[index] == journal.entries[index] for index in found.entries)
        assert len(found.entries) == len(whole)
        return found.entries

    fuzz(journal.path, [good], read)


def test_tokens_of_journals(tmp_path, fuzz):
    journal = filled(tmp_path)
    path = journal.tokens.folder / "000000001.atok"
    lines = journal.path.read_bytes()

    def read(path):
        journal.path.write_bytes(lines)
        found = Journal(tmp_path, PLAN)
        found.close()
        assert {*found.entries} >= {0, 2, 3}
        return found.entries

    fuzz(path, [path.read_bytes()], read)
