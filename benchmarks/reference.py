"""Write the reference pages of docs/ from docstrings, suites, options and tables of the code.

    python benchmarks/reference.py            # rewrites the text between the marks
    python benchmarks/reference.py --check    # exit 1 if a page is outdated

A page marks a part by `<!-- generated: NAME -->` and `<!-- end -->`; NAME is one of the functions
below: suites, tasks, metrics, columns_of_manifests, environment, commands, api, rank_correlations.
"""

from __future__ import annotations

import argparse
import inspect
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from audiotok.metrics import Column

ROOT = Path(__file__).resolve().parents[1]
MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    arguments = parser.parse_args()
    outdated = []
    for path in sorted((ROOT / "docs").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        new = MARKED.sub(lambda match: match[1] + GENERATORS[match[2]]() + match[3], text)
        if new != text:
            outdated.append(path)
            if not arguments.check:
                path.write_text(new, encoding="utf-8")
    if arguments.check and outdated:
        paths = ", ".join(map(str, outdated))
        print(f"outdated: {paths}; run benchmarks/reference.py")
        return 1
    return 0


# --- suites, tasks, metrics ------------------------------------------------------------------


def suites() -> str:
    """Each suite: what it measures, the comment at the top of its file, and its fields."""
    from audiotok.harness.suite import load_suite
    from audiotok.system import assets

    parts = []
    for name in assets.names("benchmarks"):
        suite = load_suite(name)
        text = (assets.folder("benchmarks") / f"{name}.yaml").read_text(encoding="utf-8")
        lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
        comment = [line[1:] for line in lines]
        parts += [f"## {name}", f"Version {suite.version}. {suite.description}", _prose(comment)]
        source = "none: give `--data`" if suite.data is None else f"`{suite.data}`"
        parts += [
            f"- corpus: {source}\n- tasks: {_links(suite.tasks)}\n"
            f"- baselines: {_code(suite.baselines) or 'none'}\n"
            f"- printed columns: {_code(suite.headline)}"
        ]
    return _joined(parts)


def tasks() -> str:
    """Each task: its docstring, what it ranks and why, and its columns."""
    from audiotok import tasks
    from audiotok.judges import mos

    parts = []
    for task in tasks.list_tasks():
        module = sys.modules[type(task).__module__]
        summary = _document(module).partition(": ")[2]
        parts += [f"## {task.name}", f"Version {task.version}. {summary[0].upper()}{summary[1:]}"]
        docstring = _document(type(task))
        if match := re.search(r"\b(Ranked:|Nothing is ranked).*", docstring, re.DOTALL):
            ranked = " ".join(match[0].split())
            parts += [_with_reason(ranked)]
        if type(task).option:
            parts += [f"Option, `{task.name}:OPTION`: {type(task).option}."]
        if task.name == "reconstruction":
            parts += ["Columns: those of all [metrics](metrics.md)."]
            continue
        columns = task.columns
        if task.name == "mos":  # those of predictors that are not installed here, too
            columns = [column for name in mos.names() for column in mos.get(name).columns]
        parts += [_columns(columns)]
    return _joined(parts)


def _with_reason(ranked: str) -> str:
    """The text with the reason that a base class of tasks gives, instead of a reference to it."""
    from audiotok.tasks import _mixtures, _probe, _voices, _words

    match = re.search(r",? see `(_\w+)\.(\w+)`", ranked)
    if match is None:
        return ranked
    module = next(m for m in (_mixtures, _probe, _voices, _words) if m.__name__.endswith(match[1]))
    text = re.search(r"Ranked: (.*)", _document(getattr(module, match[2])), re.DOTALL)
    reason = " ".join(text[1].split())
    before = ranked.replace(match[0], "").strip()
    return f"Ranked: {reason}" if before == "Ranked:." else f"{before} {reason.partition('. ')[2]}"


def metrics() -> str:
    """Each metric: its definition with its source, and its columns."""
    from audiotok import metrics

    parts = []
    for metric in metrics.list_metrics():
        parts += [f"## {metric.name}", _document(sys.modules[metric.compute.__module__])]
        facts = [f"Version {metric.version}."]
        facts += [f"Needs `pip install 'audiotok[{metric.extra}]'`."] * (metric.extra is not None)
        facts += ["Of speech only."] * metric.of_speech
        parts += [" ".join(facts), _columns(metric.all_columns)]
    return _joined(parts)


def _columns(columns: Iterable[Column]) -> str:
    better = {True: "higher", False: "lower", None: "–"}
    rows = ["| column | unit | better | meaning |", "| --- | --- | --- | --- |"]
    rows += [
        f"| `{c.name}` | {c.unit or '–'} | {better[c.higher_is_better]} | {c.description} |"
        for c in columns
    ]
    return "\n".join(rows)


# --- manifests, environment ------------------------------------------------------------------


def columns_of_manifests() -> str:
    from audiotok.data import _manifest, _segments

    return _table("column", _manifest.COLUMNS | _segments.COLUMNS)


def environment() -> str:
    from audiotok.system.environment import VARIABLES

    return _table("variable", VARIABLES)


def _table(head: str, meanings: dict[str, str]) -> str:
    rows = [f"| {head} | meaning |", "| --- | --- |"]
    return "\n".join(rows + [f"| `{name}` | {text} |" for name, text in meanings.items()]) + "\n"


# --- commands --------------------------------------------------------------------------------


def commands() -> str:
    """Each verb in its group: its help, arguments and options."""
    import typer

    from audiotok.cli import app, commands

    group, parts = typer.main.get_command(app), []
    for title, verbs in commands.VERBS.items():
        parts += [f"## {title}"]
        for name in verbs:
            verb = group.commands[name]
            parts += [f"### {name}", _rewrapped(inspect.cleandoc(verb.help))]
            rows = [_parameter(p) for p in verb.params if p.name != "help"]
            parts += ["| argument or option | default | meaning |\n| --- | --- | --- |"] * bool(
                rows
            )
            if rows:
                parts[-1] += "\n" + "\n".join(rows)
    return _joined(parts)


def _parameter(parameter) -> str:
    names = (*parameter.opts, *parameter.secondary_opts)
    flag = parameter.param_type_name == "option"
    name = _code(names) if flag else f"`{parameter.name.upper()}`"
    default = parameter.default
    shown = parameter.required or default in (None, False, True, ()) or callable(default)
    text = (parameter.help or "").replace("|", "\\|")
    return f"| {name} | {'required' if parameter.required else '' if shown else default} | {text} |"


# --- the Python API --------------------------------------------------------------------------


def api() -> str:
    """Each public name: its signature and docstring; of classes also the public methods."""
    import audiotok

    parts = []
    for name in audiotok._HOMES:
        thing = getattr(audiotok, name)
        parts += [f"## audiotok.{name}", _described(name, thing)]
        if inspect.isclass(thing):
            parts += list(_members(thing))
    return _joined(parts)


def _members(kind: type) -> Iterator[str]:
    from pydantic import BaseModel

    skipped = set(dir(BaseModel)) if issubclass(kind, BaseModel) else set()
    names = [n for base in reversed(kind.__mro__) for n in vars(base) if not n.startswith("_")]
    for name in dict.fromkeys(names):
        member = inspect.getattr_static(kind, name)
        if isinstance(member, classmethod | staticmethod):
            member = member.__func__
        function = getattr(member, "fget", None) or getattr(member, "func", None) or member
        if name in skipped or not inspect.isfunction(function) or not function.__doc__:
            continue
        if not (function.__module__ or "").startswith("audiotok"):
            continue
        prefix = "" if function is member else "property "
        yield f"### {kind.__name__}.{name}"
        yield f"{prefix}{_described(name, member if function is member else None, function)}"


def _described(name: str, thing: object | None, documented: object | None = None) -> str:
    text = _google(inspect.cleandoc((documented or thing).__doc__ or ""))
    if thing is None:
        returned = inspect.signature(documented).return_annotation
        return f"→ `{returned}`\n\n{text}" if isinstance(returned, str) else text
    if hasattr(thing, "model_fields"):  # pydantic: its signature depends on its version
        return f"{text}\n\nFields, all by keyword: {_code(thing.model_fields)}."
    signature = re.sub(r"(: |-> )'([^']+)'", r"\1\2", str(inspect.signature(thing)))
    return f"`{name}{signature}`\n\n{text}"


_ITEM = r"    (\w[\w, *]*): (.*)"


def _google(text: str) -> str:
    """The sections `Args:`, `Returns:`, `Raises:` and `Attributes:` as Markdown lists."""
    lines, section = [], False
    for line in text.splitlines():
        if match := re.fullmatch(r"(Args|Returns|Raises|Attributes):", line):
            lines += ["", f"*{match[1].replace('Args', 'Arguments')}*", ""]
            section = match[1]
        elif section not in (False, "Returns") and (item := re.match(_ITEM, line)):
            lines.append(f"- `{item[1]}`: {item[2]}")
        elif section and line.startswith("    "):
            lines.append(line.strip() if section == "Returns" else f"  {line.strip()}")
        else:
            section = section if not line else False
            lines.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


# --- text ------------------------------------------------------------------------------------


def _document(thing: object) -> str:
    return inspect.cleandoc(thing.__doc__)


def _prose(comment: Sequence[str]) -> str:
    """Lines of a comment as Markdown; its commands, which are indented, become items of a list."""
    lines = []
    for line in comment:
        command = line.startswith("   ")
        lines += ["", f"- `{line.strip()}`", ""] if command else [line.strip()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).replace("`\n\n- `", "`\n- `").strip()


def _rewrapped(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _links(names: Iterable[str]) -> str:
    return ", ".join(f"[{name}](tasks.md#{name.partition(':')[0]})" for name in names)


def _joined(parts: Iterable[str]) -> str:
    return "\n" + "\n\n".join(part.strip() for part in parts if part.strip()) + "\n\n"


def rank_correlations() -> str:
    """Whether one number of the committed results orders codecs as another one does."""
    from audiotok.results.results import read_all

    sys.path.insert(0, str(Path(__file__).parent))
    import rank_correlation

    return rank_correlation.markdown(rank_correlation.table(read_all(ROOT / "results")))


GENERATORS = {
    function.__name__: function
    for function in (
        suites,
        tasks,
        metrics,
        columns_of_manifests,
        environment,
        commands,
        api,
        rank_correlations,
    )  # fmt: skip
}

if __name__ == "__main__":
    sys.exit(main())
