"""The picture of accuracy against cost: points, intervals, front and limit where they belong."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from recommender.report.cost_picture import CostAxis, CostPoint, draw

SVG = "{http://www.w3.org/2000/svg}"


def point(label: str, cost: float, score: float, *, ranked: bool = True) -> CostPoint:
    low, high = (score - 0.1, score + 0.1) if ranked else (None, None)
    return CostPoint(label=label, cost=cost, score=score, low=low, high=high)


@pytest.mark.parametrize("limit", [None, 30.0])
def test_front_interval_and_limit_are_drawn_at_their_costs(limit: float | None) -> None:
    points = [
        point("small", 2.0, 0.4),
        point("worse", 5.0, 0.3),
        point("large <b>", 20.0, 0.5),
        point("unfetched", 40.0, 0.55, ranked=False),
    ]
    drawn = draw(points, CostAxis(title="ms", limit=limit), y_title="mAP50-95")
    root = ElementTree.fromstring(str(drawn))
    dots = {g.findtext(f"{SVG}title"): g for g in root.iter(f"{SVG}g") if g.find(f"{SVG}circle") is not None}
    places = {name: dot.find(f"{SVG}circle") for name, dot in dots.items()}
    x = {name: float(circle.attrib["cx"]) for name, circle in places.items() if circle is not None}
    line = next(root.iter(f"{SVG}polyline")).attrib["points"]
    assert [float(pair.split(",")[0]) for pair in line.split()] == [x["small: 0.400"], x["large <b>: 0.500"]]
    assert all(
        (dot.find(f"{SVG}line") is None) == name.startswith("unfetched") for name, dot in dots.items() if name
    )
    assert ("your limit, 30" in "".join(root.itertext())) == (limit is not None)
    dashed = [one for one in root.iter(f"{SVG}line") if re.match(r"\d", one.attrib["stroke-dasharray"])]
    assert len(dashed) == (limit is not None)
    if limit is not None:
        assert x["large <b>: 0.500"] < float(dashed[0].attrib["x1"]) < x["unfetched: 0.550"]
