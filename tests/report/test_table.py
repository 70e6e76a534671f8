"""The answer in a terminal: four lines first, a table that fits, and commands that can be copied."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from recommender.costs.estimates import in_words
from recommender.records import SCRATCH, Estimate, Notice, Recommendation, TrialValue
from recommender.report.columns import COLUMNS
from recommender.report.headline import UNSUPPORTED
from recommender.report.table import print_recommendation
from tests.report.kit import answer_of, long_ranking, ranked


def drawn(recommendation: Recommendation, width: int, *, limit: int | None = 5) -> list[str]:
    console = Console(width=width, file=io.StringIO(), highlight=False)
    print_recommendation(recommendation, console, limit=limit)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def table_of(name: str, width: int) -> list[str]:
    return drawn(answer_of(ranked(1, name, "freeze"), ranked(17, SCRATCH, "scratch", loss=0.3)), width)


@pytest.mark.parametrize("width", [80, 90, 100, 120, 140, 200])
@pytest.mark.parametrize("name", ["coco", "mask_wearing-yolo11n", "the-best-of-last-year-of-the-whole-team"])
def test_every_column_is_readable_and_explained(name: str, width: int) -> None:
    lines = table_of(name, width)
    heading = next(line for line in lines if line.lstrip().startswith("#"))
    assert "…" not in heading
    first = next(line for line in lines if name[:12] in line and "├" in line)
    assert max(len(heading), len(first)) <= width
    assert first.split()[0] == "1"
    assert "0.50 (0.45–0.55)" in first
    assert "17%" in first
    assert ("similarity" in heading) is ("0.88" in first)
    assert ("weights" in heading) is ("93%" in first)
    for column in COLUMNS:
        explained = any(line.startswith(column.heading + " ") for line in lines)
        assert explained is (column.heading in heading), column.heading


def test_a_wide_terminal_shows_all_and_a_narrow_one_the_answer() -> None:
    wide = next(line for line in table_of("coco", 140) if line.lstrip().startswith("#"))
    narrow = next(line for line in table_of("coco-yolo11n", 80) if line.lstrip().startswith("#"))
    assert {"vs", "scratch", "similarity", "weights", "best?", "lose"} <= set(wide.split())
    assert "best?" in narrow
    assert "similarity" not in narrow
    told = "Columns for which the terminal has no room: "
    assert any(line.startswith(f"{told}may lose, ") for line in table_of("coco-yolo11n", 80))
    assert not any(line.startswith(told) for line in table_of("coco", 200))


@pytest.mark.parametrize("width", [80, 140])
def test_the_headline_comes_first_and_commands_stand_on_lines_of_their_own(width: int) -> None:
    recommendation = long_ranking()
    lines = drawn(recommendation, width)
    labels = [line.split("  ")[0] for line in lines if line.strip()][:2]
    assert labels[0] == "Start from"
    assert f"Run         {recommendation.train_command}" in lines
    assert recommendation.command.rstrip() in [line.rstrip() for line in lines]  # whole, in no box
    assert not [line for line in lines if line[:1] in "│╭╰" and line]


def test_five_rows_show_and_the_others_are_counted_or_named() -> None:
    lines = drawn(long_ranking(), 140)
    rows = [line.split()[1] for line in lines if "├" in line]
    assert rows == ["c0", "c1", "c2", "c3", "scratch"]
    assert "3 more starts: --top 9 shows all." in lines
    assert "Not in the table, since trained on these very images: own." in lines
    everything = [line.split()[1] for line in drawn(long_ranking(), 140, limit=None) if "├" in line]
    assert everything == [*(f"c{i}" for i in range(7)), "scratch"]


def test_memory_counts_the_framework_as_the_line_at_a_trainings_start_does() -> None:
    row = replace(ranked(1, "coco", "full"), hours=1.0, training_mb=3000.0)
    lines = drawn(answer_of(row), 200)
    assert next(line for line in lines if "├" in line).count("~3.6 GB") == 1
    assert in_words(Estimate(memory_mb=3000.0)).endswith("on a GPU about 3.6 GB")
    assert (
        next(line for line in lines if line.startswith("memory "))
        .rstrip()
        .endswith("a frozen backbone needs less")
    )


def test_warnings_have_plain_names_and_what_to_type() -> None:
    notice = Notice(code="nothing_similar", message="Nothing is.", hint="--trials 4")
    lines = drawn(answer_of(ranked(1, "coco", "full"), warnings=(notice,), notes=(notice,)), 140)
    assert "! nothing very similar: Nothing is. --trials 4" in lines
    assert "· nothing very similar: Nothing is. --trials 4" in lines


def test_training_those_that_lead_comes_with_the_command_that_does_it() -> None:
    answer = long_ranking()
    value = TrialValue(starts=answer.decision.tied, gain=0.0042, cost=2.6, hours=None)
    lines = drawn(replace(answer, decision=replace(answer.decision, trials=value)), 140)
    told = " ".join(" ".join(lines).split())
    assert "of YOLO11n's size. `recommend compare --start …` does both." in told


def test_a_budget_no_run_supports_is_said() -> None:
    supported = answer_of(ranked(1, "coco", "full"))
    assert UNSUPPORTED not in drawn(supported, 140)
    assert UNSUPPORTED in drawn(replace(supported, level_supported=False), 140)
