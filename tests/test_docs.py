"""Generated and quoted text is current: the help pages, the published schema, and the commands the README names.

`UPDATE_DOCS=1 pytest tests/test_docs.py` writes the generated ones anew.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recommender.cli.app import app
from recommender.cli.mounts import COMMANDS, GROUPS
from recommender.report.document import RecommendationDocument
from tests.conftest import ROOT
from tests.processes import RECOMMEND, run_command

UPDATE = bool(os.environ.get("UPDATE_DOCS"))
PARTS = ("recommender", "tune_jobs", "service", "benchmarks", "tests")
PAGES = ([], *[[name] for name, *_ in (*GROUPS, *COMMANDS)])


def check(file: Path, expected: str) -> None:
    if UPDATE:
        file.write_text(expected, "utf-8")
    found = file.read_text("utf-8") if file.exists() else ""
    assert found == expected, f"{file.name} is stale: UPDATE_DOCS=1 pytest tests/test_docs.py writes it anew"


def help_of(words: list[str]) -> str:
    """The help page, 100 columns wide whatever the terminal."""
    found = CliRunner().invoke(
        app, [*words, "--help"], env={"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    )
    assert found.exit_code == 0
    return "\n".join(line.rstrip() for line in found.output.strip("\n").splitlines())


def test_help_pages_are_current() -> None:
    parts = ["# Help\n\nWritten from the program by `UPDATE_DOCS=1 pytest tests/test_docs.py`.\n"]
    for words in PAGES:
        title = " ".join(["recommend", *words])
        parts.append(f"## {title}\n```\n{help_of(list(words))}\n```\n")
    check(ROOT / "docs" / "help.md", "\n".join(parts))


def test_the_published_schema_is_current() -> None:
    schema = RecommendationDocument.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    check(
        ROOT / "docs" / "recommendation.schema.json", json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    )


def test_no_record_says_what_a_field_means_where_the_schema_does_not_find_it() -> None:
    """A string below a field is no description: `described` is."""
    for path in (ROOT / "recommender").rglob("*.py"):
        classes = [
            node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ClassDef)
        ]
        for each in classes:
            for field, text in pairwise(each.body):
                below = isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
                assert not below, f"{path}:{text.lineno}"


def readme_commands() -> list[str]:
    blocks = re.findall(r"```(?:bash|sh)\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split(" #")[0].strip() for line in lines if line.startswith("recommend ")]


def test_the_readme_shows_the_main_commands() -> None:
    text = " ".join(readme_commands())
    assert "--dataset" in text
    assert "checkpoints add" in text


@pytest.mark.parametrize("command", readme_commands())
def test_readme_commands_use_options_that_exist(command: str) -> None:
    """Every option a README command names is on the help page of that very command."""
    words = shlex.split(command)[1:]
    names = {name for name, *_ in (*GROUPS, *COMMANDS)}
    groups = {name for name, _ in GROUPS}
    path = [words[0]] if words and words[0] in names else []
    if path and path[0] in groups:
        path.append(words[1])
    page = help_of(path)
    for option in (word.split("=")[0] for word in words if word.startswith("--")):
        assert option in page, f"{option} is not on the page of {' '.join(['recommend', *path])}"


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make (\w+)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.slow
def test_the_sample_of_the_readme_is_what_the_program_says(tmp_path: Path) -> None:
    """Numbers move with every run that is shipped; lines, rows and words do not."""
    from benchmarks.demo import draw_data_set

    draw_data_set(tmp_path / "demo")
    bare = {"PATH": "/usr/bin:/bin", "RECOMMENDER_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    done = run_command(*RECOMMEND, "--dataset", "demo", env=bare, cwd=tmp_path)
    text = (ROOT / "README.md").read_text("utf-8")
    said = "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())
    pattern = r"(<!-- output of: recommend --dataset demo -->\n```\n)(.*?)(\n```)"
    found = re.search(pattern, text, re.DOTALL)
    assert found is not None
    if UPDATE:
        new = text[: found.start(2)] + said + text[found.end(2) :]
        (ROOT / "README.md").write_text(new, "utf-8")
        return
    assert _without_numbers(found.group(2)) == _without_numbers(said), (
        "UPDATE_DOCS=1 pytest tests/test_docs.py"
    )


def _without_numbers(text: str) -> list[str]:
    """Words of each line, numbers and bars masked."""
    plain = re.sub(r"[├─┤●]+", "bar", re.sub(r"\d[\d,.]*", "0", text))
    return [" ".join(line.split()) for line in plain.splitlines()]


def test_every_file_that_the_architecture_names_is_there() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", (ROOT / "docs/architecture.md").read_text("utf-8")))
    files = [f"/{file.relative_to(ROOT)}" for part in PARTS for file in (ROOT / part).rglob("*.py")]
    assert len(named) > 100
    assert [name for name in sorted(named) if not any(file.endswith(f"/{name}") for file in files)] == []
