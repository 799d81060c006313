"""Help texts: verbs in groups, in one style."""

import typer
from typer.testing import CliRunner

from audiotok import cli
from audiotok.cli import commands


def test_helps_are_sentences_in_one_style():
    """Verbs begin with an imperative, options say what they are; no help is a fragment."""
    group = typer.main.get_command(cli.app)
    assert list(group.commands) == [verb for verbs in commands.VERBS.values() for verb in verbs]
    for name, verb in group.commands.items():
        first = verb.help.split("\n\n")[0]
        assert first[0].isupper() and first.endswith(".") and len(first) < 170, name
        assert not first.split()[0].endswith("s"), f"{name} does not begin with an imperative"
        for option in verb.params:
            text = option.help or ""
            where = f"{name} {option.name}: {text!r}"
            assert len(text.split()) >= 2 and text.endswith((".", "...")), where
            assert text[0].isupper() or text[0] == ".", where
            assert text.split()[0] not in ("Of", "As", "Only", "For", "Default:", "By"), where


def test_help_shows_the_groups_of_verbs():
    shown = CliRunner().invoke(cli.app, ["--help"]).stdout
    assert all(title in shown for title in commands.VERBS)
