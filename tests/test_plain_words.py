"""Names and docstrings use the field's terms: no private vocabulary, and docstrings say what is returned."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = ("recommender", "tune_jobs", "service")
PACKAGES = (*PROGRAM, "benchmarks", "tests")
SOURCES = [file for part in PACKAGES for file in (ROOT / part).rglob("*.py") if file != Path(__file__)]
PRIVATE = re.compile(
    r"\b(kin|kinship|strangers?|likeness|hindsight|foresee\w*|habit\w*|Desk|Doorman|Gate|Envelope|Holdings|Atlas|Depot"
    r"|Parcel|Word|Bench|Orders|Conductor|Material|Contestant|stand_ins?|settles?|doubts?|walls|learnt from"
    r"|[Oo]utlooks?|parcels?|Certainty|Allowance|HeldDatasets?|learnt_\w+|sealed_file|FoldedStarts?"
    r"|[Ss]hel(?:f|ves)(?!\"))\b"
)
BARE = {"Outcome", "Place", "Plan", "Row", "Case", "Spread", "Marks", "Limits", "Ask"}
QUESTION = re.compile(r"(What|How|Who|Whether|Why|Which|Where|When)\b")
FRAGMENT = re.compile(
    r"(Of|From|Keyed|Nothing|Nobody|Never|Whatever|By|As the|See|Those|Ours|Until|Between|The same (of|for|as|with))\b"
)  # no sentence, nor what is returned
NOUNS = "images|GPUs|CPUs|trials|epochs|runs|starts|checkpoints|classes|boxes|objects|outlines|seeds|data sets|models"
NOUNS += "|attempts|sweeps|trainings|layers|masks|labels|nodes|processes|rows|columns|API keys|targets"
PLURAL = re.compile(
    rf"(?<!of )\{{\{{? ?(?P<number>[^{{}}%\n]+?) ?\}}\}}? (?:train |val |training |source |full |more )?(?:{NOUNS})\b"
)
NO_COUNT = re.compile(r"limits|max|printable|^(named|scored|held_back|\"held-out.*)$")
MANY = {
    "value.cost:.1f",
    "smallest.train_images:,",
    "largest.train_images:,",
    "sizes.train_images or 0:,",
    "count",
}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_private_vocabulary_and_no_bare_names(package: str) -> None:
    found = []
    for file in SOURCES:
        if file.relative_to(ROOT).parts[0] != package:
            continue
        text = file.read_text("utf-8")
        found += [f"{file.relative_to(ROOT)}: {match.group()}" for match in PRIVATE.finditer(text)]
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and node.name in BARE:
                found.append(f"{file.relative_to(ROOT)}: class {node.name}")
            elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                said = ast.get_docstring(node) or ""
                if QUESTION.match(said) or (package in PROGRAM and FRAGMENT.match(said)):
                    found.append(f"{file.relative_to(ROOT)}: {said.splitlines()[0]}")
    assert not found, "\n".join(found)


def test_the_guides_use_no_private_vocabulary() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    found = [
        f"{page.name}: {match.group()}"
        for page in pages
        for match in PRIVATE.finditer(page.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)


def test_a_number_with_a_plural_behind_it_is_counted() -> None:
    files = [file for part in PROGRAM for file in (ROOT / part).rglob("*") if file.suffix in (".py", ".html")]
    found = [
        f"{file.relative_to(ROOT)}: {match.group()} (`counted` says 1 image)"
        for file in files
        for match in PLURAL.finditer(file.read_text("utf-8"))
        if not NO_COUNT.search(match["number"]) and match["number"] not in MANY
    ]
    assert not found, "\n".join(found)
