"""The house stays a house: no circles between files, none too long, no function that takes too much."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"
FILES = {
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((SRC / "inkfire").rglob("*.py"))
}
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in FILES.items()}


def imported(module: str) -> set[str]:
    """The files of the package that a module imports, at its top or in a function."""
    names: set[str] = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import"
            whole = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            names |= {full if full in FILES else str(node.module) for full in whole.values()}
    return names & FILES.keys() - {module}


def functions(tree: ast.AST, prefix: str) -> Iterator[tuple[str, list[str]]]:
    """Every function and method: its dotted name and its parameters, without self and cls."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{node.name}"
            if not isinstance(node, ast.ClassDef):
                taken = node.args
                ours = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, taken.vararg, taken.kwarg]
                yield name, [one.arg for one in ours if one is not None and one.arg not in ("self", "cls")]
            yield from functions(node, name)
        else:
            yield from functions(node, prefix)


def test_no_two_files_import_each_other() -> None:
    imports = {module: imported(module) for module in FILES}
    circles = [(a, b) for a, b in itertools.combinations(FILES, 2) if b in imports[a] and a in imports[b]]
    assert circles == []


def test_an_import_is_seen_wherever_it_stands() -> None:
    assert "inkfire.training.grpo" in imported("inkfire.runs.train")  # in a function
    assert "inkfire.stats.intervals" in imported("inkfire.stats.audit")  # from inkfire.stats import intervals
    assert "inkfire.llm.ledger" in imported("inkfire.rewards.load")  # for types alone


def test_a_file_can_be_read_at_one_sitting() -> None:
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in FILES.items()}
    assert {module: count for module, count in lines.items() if count > 400} == {}


def test_no_function_takes_more_than_eight_things() -> None:
    long = {name for module, tree in TREES.items() for name, taken in functions(tree, module) if len(taken) > 8}
    assert long == set()


def test_the_judges_room_is_not_a_hall() -> None:
    assert len(list((SRC / "inkfire" / "judge").glob("*.py"))) <= 15


def test_no_module_only_passes_names_on() -> None:
    idle = []
    for module, tree in TREES.items():
        body = [node for node in tree.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
        if body and all(isinstance(node, ast.Import | ast.ImportFrom) for node in body):
            idle.append(module)
    assert idle == []


def test_a_file_that_a_comment_names_is_there() -> None:
    home = SRC.parent
    places = [path for room in ("src", "tests", "benchmarks") for path in (home / room).rglob("*.py")]
    there = {place for path in places for place in (path.name, f"{path.parent.name}/{path.name}")}
    gone = {}
    for module, path in FILES.items():
        named = re.findall(r"(?:[\w/]*/)?\b[a-z_]+\.py\b", path.read_text(encoding="utf-8"))
        if missing := [name for name in named if "/".join(name.split("/")[-2:]) not in there]:
            gone[module] = missing
    assert gone == {}
