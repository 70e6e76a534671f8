"""Text of tables cut into rows of cells: CSV, columns between blanks as R has, JSON lines, lists of `file label`."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

SAMPLED = 50  # rows that tell what a table is
EXCEL_MARK = re.compile(
    r"(?i)\A\"?sep=([^\r\n]?)\"?\r?[\n\r]"
)  # the first line that tells Excel the separator
ON = frozenset({"1", "1.0", "true"})
FLAGS = ON | {"0", "-1", "0.0", "false"}
MARKS = ",;\t|"
WITHIN_A_CELL = re.compile(r'"[^"]*"|\[[^]]*\]')
BETWEEN_BLANKS = re.compile(r'"([^"]*)"|(\S+)')
DECIMAL_COMMA = re.compile(r"\A(?!-?[1-9]\d{0,2},\d{3}\Z)(-?\d+),(\d+)\Z")  # 1,234 may be a thousand
IsImage = Callable[[str], bool]


def rows_of(content: str, suffix: str, is_image: IsImage, *, strict: bool = True) -> list[list[str]]:
    """The cells of each line that has some, a heading first where there is one; empty where the text is no table.

    `is_image` tells text that names an image. Raises csv.Error where `strict` for a quotation without end, ValueError
    or RecursionError for lines that are no JSON.
    """
    mark = EXCEL_MARK.match(content)
    content = content[mark.end() if mark else 0 :]
    if "\n" not in content:  # lines of an old Macintosh
        content = content.replace("\r", "\n")
    if suffix == ".jsonl":
        return _of_json_lines(content)
    delimiter = _delimiter(content, mark[1] if mark else "")
    if suffix == ".txt" and _is_list(content, delimiter, is_image):
        delimiter = ""
    if not delimiter:
        rows = _of_blanks(content, is_image)
        if rows or suffix == ".txt":
            return rows
    # Strict: a mark of quotation that is never closed would swallow the rows below it.
    lines = csv.reader(io.StringIO(content), delimiter=delimiter or ",", strict=strict, skipinitialspace=True)
    rows = [[cell.strip() for cell in row] for row in lines]
    return _without_titles([row for row in rows if any(row)], is_image)


def _delimiter(content: str, told: str) -> str:
    """The mark of which most lines have the same number; empty without any."""
    lines = [WITHIN_A_CELL.sub("", line) for line in content[:65_536].split("\n")[:SAMPLED] if line.strip()]
    if not lines or (told and told in lines[0]):
        return told

    def regularity(mark: str) -> tuple[int, int]:
        often, num_lines = Counter(line.count(mark) for line in lines if mark in line).most_common(1)[0]
        return num_lines, often

    best = max((mark for mark in MARKS if any(mark in line for line in lines)), key=regularity, default="")
    return best if best and (best in lines[0] or 2 * regularity(best)[0] > len(lines)) else ""


def _is_list(content: str, delimiter: str, is_image: IsImage) -> bool:
    """True if an image and a blank begin the text: other marks stand within classes then, `1.jpg tench, a fish`."""
    name, _, rest = content.split("\n", 1)[0].partition(" ")
    return delimiter not in name and is_image(name) and not rest.strip().startswith(delimiter)


def _of_blanks(content: str, is_image: IsImage) -> list[list[str]]:
    """Columns in quotation marks or nearly all of numbers; else file and class, either of which may hold blanks."""
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("#") or is_image(line.split()[0])]
    cells = [[quoted or plain for quoted, plain in BETWEEN_BLANKS.findall(line)] for line in lines]
    rows = _without_titles(cells, is_image)
    if len(rows) > 1 and len(rows[-1]) > 2 and {len(row) for row in rows[1:]} == {len(rows[-1])}:
        columns = list(zip(*rows[1:], strict=True))
        numeric = [all(map(is_number, column)) for column in columns]
        num_others = numeric.count(False)
        shorter = len(columns) - len(rows[0])
        # Of few columns the last may be parts of one: `1025000 Boeing 737`
        crossed = len(set(zip(*columns[1:], strict=True))) == math.prod(
            kinds := [len(set(c)) for c in columns[1:]]
        )
        plain = (
            (crossed and min(kinds) > 1)
            or '"' in content
            or (num_others <= 2 and len(columns) - num_others > 2)
            or all(numeric[1:])
        )
        after_image = is_image(rows[1][0]) and not is_image(rows[1][1])
        headed = not any(map(is_image, rows[0])) and not any(map(is_number, filter(None, rows[0])))
        if (shorter == 0 and (plain or headed)) or (shorter == 1 and not after_image and headed):
            return rows

    def num_plain(rows: list[list[str]]) -> int:
        return sum(any(" " not in cell and is_image(cell) for cell in row) for row in rows[:SAMPLED])

    cuts = [[cut(line, maxsplit=1) for line in lines] for cut in (str.rsplit, str.split)]
    for rows in sorted(cuts, key=num_plain, reverse=True):
        num_named = sum(any(map(is_image, row)) for row in rows[:SAMPLED])
        if all(len(row) == 2 for row in rows) and 2 * num_named > len(rows[:SAMPLED]):
            return rows
    return []


def _without_titles(rows: list[list[str]], is_image: IsImage) -> list[list[str]]:
    """The rows without those above the heading: titles, counts and comments, of fewer cells than the others."""
    usual = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    while len(rows) > 1 and usual > 1 and not any(map(is_image, rows[0])):
        num_cells = sum(map(bool, rows[0]))
        if num_cells > 1 and not (rows[0][0].startswith("#") and num_cells < usual):
            break
        rows = rows[1:]
    return rows


def _of_json_lines(content: str) -> list[list[str]]:
    """Objects of one form, a row each below their keys; values that are no text or number as JSON."""
    rows = [json.loads(line) for line in content.splitlines() if line.strip()]
    if not rows or not all(isinstance(row, dict) for row in rows):
        return []
    keys = list(rows[0])
    return [keys, *([cell_of(row.get(key)) for key in keys] for row in rows)]


def cell_of(value: object) -> str:
    """A value of JSON as a cell: text and numbers plain, nothing as an empty one."""
    return "" if value is None else value.strip() if isinstance(value, str) else json.dumps(value)


def with_point(cell: str) -> str:
    """The cell, a decimal comma in it as a point."""
    return DECIMAL_COMMA.sub(r"\1.\2", cell) if "," in cell else cell


def is_number(cell: str) -> bool:
    """True of a cell that is a number or empty."""
    try:
        float(with_point(cell))
    except ValueError:
        return not cell
    return True


def is_numbered(cells: Sequence[str]) -> bool:
    """True of cells that count up by one: names that a program gave to rows or columns."""
    return cells[0] in ("0", "1") and list(cells) == [str(n + int(cells[0])) for n in range(len(cells))]
