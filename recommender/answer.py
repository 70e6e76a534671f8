"""The answer from Python: a recommendation that a notebook shows as a small table, with a page and a data frame."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from recommender.candidates.choosing import with_paths_registered
from recommender.errors import UnavailableError
from recommender.pipeline import Study, conclude, study
from recommender.records import Mode, RankedStart, Recommendation
from recommender.requests import RecommendRequest
from recommender.store import Store
from recommender.tasks import Task

if TYPE_CHECKING:
    from pandas import DataFrame

WIDTH = 110  # columns of the table as text


class Ranking(tuple[RankedStart, ...]):
    """The ranked starts; `to_frame()` gives them as a pandas DataFrame."""

    __slots__ = ()

    def to_frame(self) -> DataFrame:
        """One row a start, numbers as numbers. Raises UnavailableError where pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise UnavailableError("A DataFrame needs pandas.", remedy="pip install pandas") from error
        return pandas.DataFrame([_record(row) for row in self])


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Answer(Recommendation):
    """A recommendation and the case it was made from."""

    ranking: Ranking
    case: Study

    def __repr__(self) -> str:
        """The four lines and the table."""
        from rich.console import Console

        from recommender.report.table import print_short

        text = io.StringIO()
        print_short(self, Console(width=WIDTH, file=text, highlight=False, markup=False, emoji=False))
        return text.getvalue().strip("\n")

    def _repr_html_(self) -> str:
        """The HTML that a notebook shows."""
        from recommender.report.page import fragment

        return fragment(self)

    def to_html(self, file: str | Path | None = None, *, pictures: bool = True) -> str:
        """The page that `recommend --html` writes; also written to `file` where one is named."""
        from recommender.report.answer_pictures import pictures_of
        from recommender.report.page import page

        html = page(self, pictures_of(self.case, self) if pictures else None)
        if file is not None:
            Path(file).write_text(html, encoding="utf-8")
        return html


class RecommendOptions(TypedDict, total=False):
    """The fields of `recommender.requests.RecommendRequest` beside the data set; text such as "30ms" is read too."""

    task: Task | None
    checkpoints: Sequence[str]
    without: Sequence[str]
    class_map: Mapping[str, str]
    keep: bool
    modes: Sequence[Mode]
    epochs: int
    imgsz: int
    everything: bool
    here: bool
    device: str | None
    max_latency: float | str | None
    max_memory: float | str | None
    max_flops: float | str | None
    gpu: str | None
    max_hours: float | str | None
    max_cost: float | None
    price: float | str | None
    top: int | None
    max_params: int | None
    licence: Literal["any", "permissive"]
    offline: bool
    seed: int
    max_feature_candidates: int
    allow_roots: Sequence[str]


def recommend(
    dataset: str | Path, *, store: Store | None = None, **options: Unpack[RecommendOptions]
) -> Answer:
    """Rank the starts for a data set, as `recommend --dataset` does.

    Raises `recommender.errors.InputError` for a data set that cannot be used and pydantic's `ValidationError` for
    options that do not exist.
    """
    request = RecommendRequest.model_validate({"dataset": str(dataset), **options})
    if store is not None:
        return _answer(request, store)
    with Store() as opened:
        return _answer(request, opened)


def _answer(request: RecommendRequest, store: Store) -> Answer:
    case = study(with_paths_registered(request, store), store=store)
    found = conclude(case)
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return Answer(**(values | {"ranking": Ranking(found.ranking), "case": case}))


def _record(row: RankedStart) -> dict[str, str | float | bool | None]:
    evidence = row.evidence
    return {
        "rank": row.rank,
        "checkpoint": row.start.checkpoint,
        "mode": row.start.mode,
        "score": row.score.mean,
        "low": row.score.low,
        "high": row.score.high,
        "p_best": row.p_best,
        "expected_loss": row.expected_loss,
        "gain_over_scratch": row.gain_over_scratch.mean,
        "similarity": evidence.similarity,
        "classes_known": evidence.class_overlap,
        "weights_transferred": evidence.weights_transferred,
        "available": row.available,
    }
