"""Tables in many files, and what divides their images: names of files and folders, columns, lists, folds."""

from __future__ import annotations

from pathlib import Path

import pytest

from recommender.datasets import open_dataset
from recommender.datasets.formats import SAMPLED
from tests.datasets.helpers import kinds
from tests.datasets.test_box_tables import boxes_of, images
from tests.datasets.test_table_doubts import HEADING, line_of, write

CVAT = (
    '<annotations><version>1.1</version><image id="0" name="{}" width="96" height="80">'
    '<box label="cat" xtl="10" ytl="10" xbr="60" ybr="70"/></image></annotations>'
)


@pytest.mark.parametrize("form", ["tables", "CVAT"])
def test_files_beyond_those_that_tell_the_form_are_read_too(tmp_path: Path, form: str) -> None:
    names = images(tmp_path / "images", SAMPLED + 3)
    (tmp_path / "labels").mkdir()
    for number, name in enumerate(names):
        if form == "CVAT":
            (tmp_path / "labels" / f"{number:02d}.xml").write_text(CVAT.format(name))
        else:
            rows = [line_of(name, *each) for each in boxes_of(number)]
            write(tmp_path / "labels", HEADING, rows, f"{number:02d}.csv")
    found = open_dataset(tmp_path)
    assert {image.path.name for image in found.images if len(image.classes_M)} == set(names)
    assert kinds(found) == {}
