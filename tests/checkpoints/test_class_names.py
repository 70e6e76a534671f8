"""Class names that mean the same."""

from __future__ import annotations

import json
from collections import Counter
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.class_names import ClassMatch, normalise, overlap

NAMES = st.lists(st.text(min_size=1, max_size=12), max_size=8)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Traffic_Lights", "traffic light"),
        ("trafficLight", "traffic light"),
        ("traffic-light", "traffic light"),
        ("  No-Mask ", "no mask"),
        ("NO_HARDHAT", "no hardhat"),
        ("berries", "berry"),
        ("buses", "bus"),
        ("boxes", "box"),
        ("glass", "glass"),
        ("wine glasses", "wine glass"),
        ("bus", "bus"),
        ("RBC", "rbc"),
        ("speed limit 30", "speed limit 30"),
        ("Füße", "füsse"),
        ("类别", "类别"),
        ("houses", "house"),
        ("knives", "knife"),
        ("people", "people"),
        ("n02085620-Chihuahua", "chihuahua"),
        ("n01440764", "tench"),
        ("n99999999", "n99999999"),
        ("001.Black_footed_Albatross", "black footed albatross"),
        ("101 dalmatians", "101 dalmatian"),
        ("\x1b[31mcat", "31mcat"),
    ],
)
def test_spellings_fall_together(written: str, plain: str) -> None:
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("target", "source", "kind"),
    [
        ("Persons", "person", "exact"),
        ("pedestrian", "person", "alias"),
        ("people", "pedestrians", "alias"),
        ("automobile", "car", "alias"),
        ("motorbike", "motorcycle", "alias"),
        ("without_mask", "no-mask", "alias"),
        ("Aeroplane", "airplane", "alias"),
    ],
)
def test_same_meaning_is_found(target: str, source: str, kind: str) -> None:
    assert [match.kind for match in overlap([target], [source])] == [kind]


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("mask", "no-mask"),
        ("car", "cart"),
        ("helmet", "no helmet"),
        ("speed limit 30", "speed limit 50"),
        ("cat", "dog"),
    ],
)
def test_unlike_names_stay_apart(target: str, source: str) -> None:
    assert overlap([target], [source]) == ()


def test_the_same_name_beats_a_synonym() -> None:
    assert overlap(["car"], ["automobile", "Cars"]) == (ClassMatch(target=0, source=1, kind="exact"),)


def test_placeholders_mean_nothing() -> None:
    assert overlap(["0", "1"], ["0", "1"]) == ()
    assert overlap(["class_0", "class_1"], ["class_0", "cat"]) == ()
    assert len(overlap(["0", "cat"], ["0", "cat"])) == 2


@given(NAMES)
def test_normalising_twice_changes_nothing(names: list[str]) -> None:
    assert [normalise(normalise(name)) for name in names] == [normalise(name) for name in names]


@given(NAMES, NAMES)
def test_matches_are_ordered_unique_and_within_range(target: list[str], source: list[str]) -> None:
    matches = overlap(target, source)
    assert [match.target for match in matches] == sorted({match.target for match in matches})
    assert all(match.source < len(source) for match in matches)


def test_every_synonym_is_in_one_group_only() -> None:
    groups = json.loads((files("recommender") / "class_aliases.json").read_text(encoding="utf-8"))["groups"]
    counts = Counter(name for group in groups for name in {normalise(name) for name in group})
    assert [name for name, count in counts.items() if count > 1] == []
