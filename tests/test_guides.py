"""The guides of docs/architecture.md name the files to touch: they exist, suffice, and what they describe works."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from recommender.families import FAMILIES
from recommender.tasks import TASKS
from tests.datagen import draw_images
from tests.processes import RECOMMEND, run_command

ROOT = Path(__file__).parents[1]
OTHER_TASKS = {task.name for task in TASKS} - {
    "detect"
}  # "detect" is the default of records older than tasks
GUIDES = ("task", "family", "estimator", "data-set format")


def named_in(guide: str) -> tuple[str, ...]:
    """The files and folders that a guide names."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    section = text.split(f"### To add a{'n' if guide[0] == 'e' else ''} {guide}\n", 1)[1]
    section = section.split("\n### ", 1)[0].split("\n## ", 1)[0]
    return tuple(part for part in section.split("`")[1::2] if part.endswith((".py", "/")) and "/" in part)


def naming(words: Collection[str]) -> Iterator[str]:
    """The files whose code, not a docstring or a type, holds one of these strings."""
    for part in ("recommender", "tune_jobs", "service"):
        for file in (ROOT / part).rglob("*.py"):
            tree = ast.parse(file.read_text("utf-8"))
            if any(isinstance(node, ast.Constant) and node.value in words for node in ast.walk(tree)):
                yield file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("guide", GUIDES)
def test_the_files_of_a_guide_are_few_and_exist(guide: str) -> None:
    named = named_in(guide)
    assert 0 < len(named) <= 15
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_single_file_has_its_row() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    section = text.split("## The single files of `recommender/`\n", 1)[1].split("\n## ", 1)[0]
    named = [part for part in section.split("`")[1::2] if part.endswith(".py")]
    there = [file.name for file in (ROOT / "recommender").glob("*.py") if file.name != "__init__.py"]
    assert sorted(named) == sorted(there)


def test_no_other_file_treats_one_task_unlike_another() -> None:
    named = named_in("task")
    assert [path for path in naming(OTHER_TASKS) if not path.startswith(named)] == []


def test_no_other_file_treats_one_family_unlike_another() -> None:
    named = (*named_in("family"), "recommender/families/ultralytics/")
    words = {word for row in FAMILIES for word in (*row.heads, row.model_class, *row.validator)}
    assert [path for path in naming(words) if not path.startswith(named)] == []


READER = '''
from recommender.datasets.named import NamedImage, named_set
from recommender.datasets.shapes import box_from_corners


def read_marks(paths, root, disk, log, name):
    """Read lines of: image, class, x min, y min, x max, y max."""
    objects = {}
    for path in paths:
        for line in disk.read_text(path, disk.limits.json_bytes).splitlines()[1:]:
            reference, label, *corners = line.split()
            objects.setdefault(reference, []).append((label, box_from_corners(corners, line, log)))
    entries = [NamedImage(reference=r, near=paths[0], objects=tuple(found)) for r, found in objects.items()]
    return named_set(entries, format="marks", root=root, disk=disk, log=log, name=name)
'''
FORMAT_ROW = 'Format(name="Marks", suffixes=(".marks",), marks=(rb"\\A#marks",), read=read_marks),'
ESTIMATOR = '''
def feature_spread(features_MR):
    """The mean standard deviation of the features."""
    return float(features_MR.std(axis=0).mean())
'''
ESTIMATOR_ROW = """Estimator(name="feature_spread", label="spread of features", weight=0.0, sd=0.01, paper="",
    cost="ND",     measure=lambda features: feature_spread(features.whole)),"""


def add_row(table: Path, first: str, row: str, wanted: str) -> None:
    """Put a row first into a table, and the import that it needs below the others."""
    text = table.read_text("utf-8")
    assert text.count(first) == 1
    imports = "from __future__ import annotations\n"
    text = text.replace(first, f"{first}\n    {row}").replace(imports, f"{imports}\n{wanted}\n", 1)
    table.write_text(text, "utf-8")


def copy_of_the_package(folder: Path) -> Path:
    """The package with files of code copied and all others linked."""

    def copy(source: str, target: str) -> None:
        if source.endswith(".py"):
            shutil.copyfile(source, target)
        else:
            Path(target).symlink_to(source)

    ignored = shutil.ignore_patterns("__pycache__")
    return Path(
        shutil.copytree(ROOT / "recommender", folder / "recommender", copy_function=copy, ignore=ignored)
    )


@pytest.mark.slow
def test_a_format_and_an_estimator_added_as_the_guides_say_are_read_and_measured(
    tmp_path: Path,
) -> None:
    package = copy_of_the_package(tmp_path / "program")
    (package / "datasets" / "marks.py").write_text(READER, "utf-8")
    (package / "evidence" / "spread.py").write_text(ESTIMATOR, "utf-8")
    formats, estimators = package / "datasets" / "formats.py", package / "evidence" / "table.py"
    add_row(
        formats,
        "FORMATS: tuple[Format, ...] = (",
        FORMAT_ROW,
        "from recommender.datasets.marks import read_marks",
    )
    add_row(
        estimators,
        "ESTIMATORS: tuple[Estimator, ...] = (",
        ESTIMATOR_ROW,
        "from recommender.evidence.spread import feature_spread",
    )
    add_row(package / "datasets" / "disk.py", "READ_SUFFIXES = IMAGE_SUFFIXES | {", '".marks",', "")
    data = tmp_path / "shapes"
    data.mkdir()
    lines = ["#marks"]
    for item in draw_images(12, ("circle", "square")):
        item.image.save(data / f"{item.stem}.png")
        for label, *corners in item.boxes:
            lines.append(" ".join(map(str, (f"{item.stem}.png", ("circle", "square")[label], *corners))))
    (data / "all.marks").write_text("\n".join(lines), "utf-8")
    home = str(tmp_path / "home")
    done = run_command(*RECOMMEND, data, "--json", cwd=tmp_path / "program", RECOMMENDER_HOME=home)
    answer = json.loads(done.stdout)
    assert answer["dataset"]["classes"] == ["circle", "square"]
    assert sum(answer["dataset"]["images"].values()) == 12
    coco = next(row for row in answer["ranking"] if row["checkpoint"] == "coco-yolo11n")
    assert coco["evidence"]["feature_spread"] > 0
