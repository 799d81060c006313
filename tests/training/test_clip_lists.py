"""A recipe names a list of clips; what comes of it holds the ids, and foreign files stay shut."""

import os

import pytest
import yaml
from support.training_kit import write_recipe

from audiotok.errors import RecipeError
from audiotok.system import assets
from audiotok.training import clip_lists, load_recipe, train


def named(folder, corpus, name="ids.txt"):
    return write_recipe(folder / "listed.yaml", corpus, data={"clips": name})


def test_the_ids_come_into_the_recipe(corpus, tmp_path, monkeypatch):
    (tmp_path / "ids.txt").write_bytes("\ufeff# four\r\n0\r\n\r\n 1 \n2\n4".encode())
    recipe = load_recipe(named(tmp_path, corpus))
    assert recipe.data.clips == ("0", "1", "2", "4")
    (tmp_path / "resolved.yaml").write_text(recipe.to_yaml())
    assert load_recipe(tmp_path / "resolved.yaml") == recipe
    monkeypatch.chdir(tmp_path)
    assert load_recipe("listed.yaml") == recipe


def test_lists_that_ship():
    texts = [path.read_text() for path in assets.folder("recipes").glob("*.yaml")]
    users = [content for text in texts if (content := yaml.safe_load(text)).get("data", {})]
    lists = [content["data"]["clips"] for content in users if content["data"].get("clips")]
    assert lists == ["librispeech-mini.txt"] * 6
    path = assets.folder("recipes") / "clips" / lists[0]
    assert len(set(clip_lists.read(path))) == 251


def test_a_copy_of_a_recipe_that_ships_finds_its_list(tmp_path, monkeypatch):
    shipped = assets.find("recipes", "ablation", RecipeError)
    expected = load_recipe(shipped).data.clips
    ablation = tmp_path / "ablation.yaml"
    ablation.write_text(shipped.read_text())
    assert load_recipe(ablation).data.clips == expected
    (tmp_path / "librispeech-mini.txt").write_text("mine\n")
    assert load_recipe(ablation).data.clips == ("mine",)
    monkeypatch.chdir(tmp_path)  # where a recipe that ships does not look
    assert load_recipe(shipped).data.clips == expected


def test_overrides(corpus, tmp_path, monkeypatch):
    path = named(tmp_path, corpus, "missing.txt")
    assert load_recipe(path, ["data.clips=null"]).data.clips is None
    assert load_recipe(path, ["data.clips=[a, b]"]).data.clips == ("a", "b")
    assert load_recipe(path, ["data.clips=[]"]).data.clips == ()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "ids").write_text("far\n")
    for typed in (f"{tmp_path}/elsewhere/ids", "../elsewhere/ids"):
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert load_recipe(path, [f"data.clips={typed}"]).data.clips == ("far",)
    (tmp_path / "ids").write_text("beside\n")
    assert load_recipe(path, ["data.clips=ids"]).data.clips == ("far",)  # as typed: from here
    section = f"data={{corpus: c, crop_seconds: 1, batch_size: 1, clips: {tmp_path}/ids}}"
    assert load_recipe(path, [section]).data.clips == ("beside",)
    shipped = load_recipe(path, ["data.clips=librispeech-mini.txt"]).data.clips
    assert len(shipped) == 251
    with pytest.raises(RecipeError, match="'nowhere/ids', which does not exist: give ids in"):
        load_recipe(path, ["data.clips=nowhere/ids"])


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../ids", "a/../ids", "a\\b", ".hidden", "", "con", "a\0b", "x" * 300]
)
def test_a_recipe_names_no_file_elsewhere(corpus, tmp_path, name):
    (tmp_path / "ids").write_text("secret\n")
    (tmp_path / "a").mkdir()
    path = named(tmp_path / "a", corpus, name)
    for read in (load_recipe, lambda path: load_recipe(path, ["steps=9"])):
        with pytest.raises(RecipeError, match="only a file in its own folder.*type data.clips="):
            read(path)


def test_links_that_lead_out(corpus, tmp_path):
    (tmp_path / "ids").write_text("secret\n")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "ids.txt").symlink_to(tmp_path / "ids")
    with pytest.raises(RecipeError, match="a link that leads out of"):
        load_recipe(named(tmp_path / "a", corpus))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "neither in .* nor one that ships.*data.clips=null"),
        (b"\xff\xfe0\n", "no UTF-8 text: expected one id a line"),
        (b"# nothing\n\n", "hold no id"),
        (b"", "hold no id"),
        (b"a\0b\n", r"hold 'a\\x00b': expected ids"),
        (b"x" * (2**18 + 1), "more than 262144 bytes or 65536 lines: write a manifest"),
        (b"0\n" * (2**16 + 1), "more than 262144 bytes or 65536 lines: write a manifest"),
    ],
)
def test_files_that_are_no_list(corpus, tmp_path, content, message):
    if content is not None:
        (tmp_path / "ids.txt").write_bytes(content)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(named(tmp_path, corpus))
    assert "\n" not in str(caught.value)


def test_what_is_no_plain_file(corpus, tmp_path):
    path = named(tmp_path, corpus)
    (tmp_path / "ids.txt").mkdir()
    with pytest.raises(RecipeError, match="neither in"):
        load_recipe(path)
    (tmp_path / "ids.txt").rmdir()
    os.mkfifo(tmp_path / "ids.txt")  # opening it would wait for ever
    for overrides in ([], ["data.clips=ids.txt"]):
        with pytest.raises(RecipeError, match="neither in"):
            load_recipe(path, overrides)


def test_a_run_notices_that_its_list_has_changed(corpus, tmp_path):
    path = named(tmp_path, corpus)
    (tmp_path / "ids.txt").write_text("0\n1\n2\n4\n")
    train(path, ["steps=4"], tmp_path / "run")
    (tmp_path / "ids.txt").write_text("# as before\n0\n1\n2\n4\n")
    train(path, ["steps=4"], tmp_path / "run")
    (tmp_path / "ids.txt").write_text("0\n1\n2\n5\n")
    with pytest.raises(RecipeError, match=r"another recipe \(data\.clips\.3 4 there, 5 here\)"):
        train(path, ["steps=4"], tmp_path / "run")
    load_recipe(tmp_path / "run" / "recipe.yaml")
    (tmp_path / "ids.txt").unlink()
    assert load_recipe(tmp_path / "run" / "recipe.yaml").data.clips == ("0", "1", "2", "4")
