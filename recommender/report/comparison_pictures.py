"""Predictions side by side: each held-out image once, and over it, start by start, hits, misses and false alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from recommender.comparison.comparison_input import Box, ComparisonInput, Evaluation, Scene
from recommender.comparison.findings import Findings, shown_run
from recommender.comparison.pictures import DetectionMatches, matches_of
from recommender.datasets import read_image
from recommender.errors import RecommenderError
from recommender.records import ByteArray, Dataset, Start
from recommender.report.photos import svg_photo
from recommender.text import counted, printable

MAX_SIDE = 420  # pixels of an image in the report
WORDS = {"truth": "", "hit": "hit: ", "miss": "missed: ", "false": "false alarm: "}
WORDS_OF_IMAGES = {"truth": "", "hit": "right: ", "false": "wrong: "}

Pixels = Callable[[str], ByteArray | None]  # image name -> RGB, None where it cannot be shown


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One start on one image."""

    title: str
    drawing: Markup
    caption: str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image, what is on it, and what each start saw."""

    name: str
    spread: float
    source: Markup  # the image itself, to be placed once; the panels refer to it
    panels: tuple[Panel, ...]


def pixels_of(target: Dataset) -> Pixels:
    """Reads the images of a data set, small enough for a report."""
    paths = {image.name: image.path for image in target.images}

    def read(name: str) -> ByteArray | None:
        try:
            return read_image(paths[name], max_side=MAX_SIDE)
        except (KeyError, OSError, RecommenderError):
            return None  # moved or changed since: the boxes are shown without it

    return read


def pictures_of(comparison: ComparisonInput, findings: Findings, pixels: Pixels) -> tuple[Picture, ...]:
    """The images on which the starts differ most, in that order."""
    evaluations = {one.run.id: one.evaluation for one in comparison.trained}
    shown: list[tuple[Start, Evaluation]] = []
    for row in findings.main:
        found = evaluations.get(shown_run(comparison, row) or "")
        if found is not None:
            shown.append((row.start, found))
    return tuple(
        Picture(
            name=printable(one.scene.name, limit=80),
            spread=one.spread,
            source=_source(number, one.scene, pixels(one.scene.name)),
            panels=tuple(
                Panel(title=title, drawing=_drawing(number, one.scene, marks), caption=caption)
                for title, marks, caption in _panels(one.scene, shown, comparison)
            ),
        )
        for number, one in enumerate(findings.differences)
    )


def _panels(
    scene: Scene, shown: Sequence[tuple[Start, Evaluation]], comparison: ComparisonInput
) -> Iterator[tuple[str, list[Markup], str]]:
    """Title, marks and caption of each: what is really there, then what each start saw."""
    names = comparison.plan.class_names
    if comparison.task == "classify":
        yield from _class_panels(scene, shown, names)
        return
    yield (
        "Ground truth",
        [_mark("truth", box, scene, names) for box in scene.truth],
        counted(len(scene.truth), "object"),
    )
    for start, evaluation in shown:
        marks = matches_of(scene.truth, evaluation.boxes.get(scene.name, ()), comparison.plan.confidence)
        said = (
            counted(len(marks.hits), "hit"),
            counted(len(marks.misses), "miss"),
            counted(len(marks.false_alarms), "false alarm"),
        )
        yield printable(start), _all_marks(marks, scene, names), ", ".join(said)


def _class_panels(
    scene: Scene, shown: Sequence[tuple[Start, Evaluation]], names: Sequence[str]
) -> Iterator[tuple[str, list[Markup], str]]:
    """The class that each start takes the image for; a frame tells right from wrong."""
    truth = scene.truth[0]
    yield "True class", [_mark("truth", truth, scene, names, of_image=True)], printable(names[truth.label])
    for start, evaluation in shown:
        for guess in evaluation.boxes.get(scene.name, ())[:1]:
            right = guess.label == truth.label
            mark = _mark("hit" if right else "false", guess, scene, names, of_image=True)
            said = f"{printable(names[guess.label])}, {guess.confidence:.0%} sure: {'right' if right else 'wrong'}"
            yield printable(start), [mark], said


def _source(number: int, scene: Scene, pixels_HW3: ByteArray | None) -> Markup:
    if pixels_HW3 is None:
        return Markup('<rect id="photo{}" class="nothing" width="{}" height="{}"/>').format(
            number, scene.width, scene.height
        )
    return svg_photo(f"photo{number}", pixels_HW3, scene.width, scene.height, side=MAX_SIDE)


def _drawing(number: int, scene: Scene, marks: Sequence[Markup]) -> Markup:
    return Markup('<svg class="photo" viewBox="0 0 {} {}" role="img"><use href="#photo{}"/>{}</svg>').format(
        scene.width, scene.height, number, Markup("").join(marks)
    )


def _all_marks(marks: DetectionMatches, scene: Scene, names: Sequence[str]) -> list[Markup]:
    return [
        *(_mark("hit", box, scene, names) for box in marks.hits),
        *(_mark("false", box, scene, names) for box in marks.false_alarms),
        *(_mark("miss", box, scene, names) for box in marks.misses),
    ]


def _mark(kind: str, box: Box, scene: Scene, names: Sequence[str], *, of_image: bool = False) -> Markup:
    """A box or mask, over a pale copy of itself that keeps it visible on any photo; a miss is crossed out, a false
    alarm has a wedge in its corner.
    """
    x, y = box.x1 * scene.width, box.y1 * scene.height
    w, h = (box.x2 - box.x1) * scene.width, (box.y2 - box.y1) * scene.height
    shape = Markup("M{:.1f} {:.1f}h{:.1f}v{:.1f}h{:.1f}z").format(x, y, w, h, -w)
    area = Markup("")
    if box.rings:
        shape = _line(box, scene)
        area = Markup('<path class="mask" d="{}"/>').format(shape)
    if kind == "miss":
        shape += Markup("M{:.1f} {:.1f}l{:.1f} {:.1f}m{:.1f} 0l{:.1f} {:.1f}").format(x, y, w, h, -w, w, -h)
    label = names[box.label] if box.label < len(names) else str(box.label)
    said = (WORDS_OF_IMAGES if of_image else WORDS)[kind] + printable(label)
    if kind in ("hit", "false"):
        said += f", {box.confidence:.0%} sure"
    wedge = Markup("")
    if kind == "false":
        size = max(6.0, min(14.0, 0.4 * min(w, h), 0.04 * scene.width))
        wedge = Markup('<path class="wedge" d="M{:.1f} {:.1f}h{:.1f}l{:.1f} {:.1f}z"/>').format(
            x, y, size, -size, size
        )
    return Markup('<g class="{}"><title>{}</title>{}<path class="halo" d="{}"/><path d="{}"/>{}</g>').format(
        kind, said, area, shape, shape, wedge
    )


def _line(box: Box, scene: Scene) -> Markup:
    """The rings of a mask as one path."""
    lines = (
        "L".join(
            f"{x * scene.width:.1f} {y * scene.height:.1f}"
            for x, y in zip(ring[::2], ring[1::2], strict=True)
        )
        for ring in box.rings
    )
    return Markup("").join(Markup("M{}z").format(line) for line in lines)
