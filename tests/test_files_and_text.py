"""Files that are replaced in one step, and curves drawn as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from recommender.atomic_files import replacing
from recommender.text import counted, rounded_up, sparkline


@pytest.mark.parametrize("durable", [False, True])
def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, durable: bool) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(file, durable=durable) as part:
        part.write_text(f"half {1 // 0}")
    assert file.read_text() == "old"
    with replacing(file, durable=durable) as part:
        part.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_two_writers_of_one_file_do_not_share_a_part(tmp_path: Path) -> None:
    with replacing(tmp_path / "file") as one, replacing(tmp_path / "file") as other:
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "file").read_text() == "one"  # the last that ends


@pytest.mark.parametrize(
    ("values", "top", "bars"),
    [([], None, ""), ([0.0, 0.0], None, "▁▁"), ([0, 0.5, 1.0], None, "▁▅█"), ([0.3, -1.0, 2.0], 1.0, "▃▁█")],
)
def test_a_curve_is_drawn_from_zero_to_its_top(values: list[float], top: float | None, bars: str) -> None:
    assert sparkline(values, 32, top=top) == bars


def test_a_long_curve_is_drawn_whole() -> None:
    bars = sparkline([epoch / 100 for epoch in range(1, 101)], 10)
    assert len(bars) == 10
    assert bars[-1] == "█"
    assert list(bars) == sorted(bars)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.05206, "0.0521"), (4.7, "4.70"), (123.4, "124"), (1368.2, "1369"), (120_000.0, "120000"), (0.0, "0")],
)
def test_what_would_do_is_rounded_up_and_has_no_exponent(value: float, said: str) -> None:
    assert rounded_up(value) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1, "1 GPU"),
        (2_000_000, "2,000,000 GPUs"),
        (0.5, "0.5 GPUs"),
        (0.1 + 0.2, "0.3 GPUs"),
        (3.0, "3 GPUs"),
    ],
)
def test_what_is_counted_is_said_without_the_rounding_of_fractions(number: float, said: str) -> None:
    assert counted(number, "GPU") == said
