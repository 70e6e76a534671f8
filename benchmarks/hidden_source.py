"""The gain of hiding a checkpoint's source: `python -m benchmarks.hidden_source`

Every checkpoint of the built-in history on every target that did not train it is forecast twice, with every run on the
target hidden: as it is, and as if nothing were known of its source, its size and its score. Once with its runs on other
targets known (they go by the weights' sha256), once as new weights, without any run from them; once with its earlier
trainings hidden too, once with them known, as comparing early layers with known parents tells them.
Writes the mean differences, hidden minus honest, in expected mAP50-95 and in the chance to be the best, with bootstrap
intervals over targets. The scales of the prior are the shipped ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recommender.blas import single_blas_thread
from recommender.forecast.backtest import BacktestCase, bootstrap, cases
from recommender.forecast.gaussian_process import Posterior, noise_of, result_of
from recommender.forecast.history import builtin_observations, known_scales
from recommender.forecast.kernel_inputs import kernel_inputs
from recommender.forecast.kernels import PriorScales
from recommender.forecast.situation import Observation, Situation

OUT = Path("benchmarks/results/hidden_source.md")
DRAWS = 4000

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class HiddenSourceGain:
    """Hidden minus honest, of one checkpoint on one target."""

    target: str
    checkpoint: str
    score: float  # mean over its starts of the expected mAP50-95
    p_best: float  # that one of its starts is the best


def without_source(situation: Situation, *, lineage: bool) -> Situation:
    """The same start with nothing known of its source but the class names; `lineage` keeps the trainings before it."""
    checkpoint = situation.checkpoint
    if checkpoint is None:
        return situation
    return replace(
        situation,
        source=None,
        checkpoint=replace(
            checkpoint,
            source_name=None,
            source_hash=None,
            source_images=None,
            source_score=None,
            lineage=checkpoint.lineage if lineage else None,
            from_scratch=False,
        ),
        evidence=replace(
            situation.evidence,
            similarity=None,
            image_similarity=None,
            object_similarity=None,
            box_size_shift=None,
            source_images_seen=None,
        ),
    )


@single_blas_thread()
def gains(
    runs: Sequence[Observation], scales: PriorScales, *, new: bool, lineage: bool
) -> list[HiddenSourceGain]:
    """The gain of hiding its source, for every checkpoint on every target.

    `new` hides every run from it too, `lineage` leaves the trainings before its last one known.
    """
    found_cases = cases(runs)
    honest = [candidate for case in found_cases for candidate in case.candidates]
    everything = (
        [o.situation for o in runs] + honest + [without_source(one, lineage=lineage) for one in honest]
    )
    inputs = kernel_inputs(everything)  # once: nothing in it depends on what is hidden
    covariance_NN = inputs.covariance(scales)
    places = {id(o): i for i, o in enumerate(runs)}
    found, begin = [], len(runs)
    for case in found_cases:
        honest_C = np.arange(begin, begin + len(case.candidates))
        begin += len(case.candidates)
        both_B = np.concatenate([honest_C, honest_C + len(honest)])
        for name in sorted({c.start.checkpoint for c in case.candidates if c.source is not None}):
            known = [o for o in case.history if not (new and o.situation.start.checkpoint == name)]
            rows_K = np.array([places[id(o)] for o in known])
            belief = _belief(known, rows_K, both_B, inputs.mean_N, covariance_NN, scales)
            found.append(_gain(case, name, belief))
    return found


def _belief(
    known: Sequence[Observation],
    rows_K: NDArray[np.int64],
    asked_B: NDArray[np.int64],
    mean_N: Matrix,
    covariance_NN: Matrix,
    scales: PriorScales,
) -> Posterior:
    """The forecast of one training of each start asked about."""
    noisy_KK = covariance_NN[np.ix_(rows_K, rows_K)] + noise_of(known, scales)
    cross_KB = covariance_NN[np.ix_(rows_K, asked_B)]
    residual_K = np.array([result_of(o) for o in known]) - mean_N[rows_K]
    solved = np.linalg.solve(noisy_KK, np.column_stack([residual_K, cross_KB]))
    covariance_BB = covariance_NN[np.ix_(asked_B, asked_B)] - cross_KB.T @ solved[:, 1:]
    return Posterior(
        mean_N=mean_N[asked_B] + cross_KB.T @ solved[:, 0],
        covariance_NN=(covariance_BB + covariance_BB.T) / 2,
    ).of_one_training(scales)


def _gain(case: BacktestCase, name: str, belief: Posterior) -> HiddenSourceGain:
    """The race with one checkpoint's source hidden against the race as it is."""
    count = len(case.candidates)
    own_C = np.array([c.start.checkpoint == name for c in case.candidates])
    races = [np.arange(count), np.where(own_C, np.arange(count) + count, np.arange(count))]
    results = []
    for rows in races:
        race = Posterior(mean_N=belief.mean_N[rows], covariance_NN=belief.covariance_NN[np.ix_(rows, rows)])
        winners_S = race.samples(DRAWS, seed=0).argmax(axis=1)
        results.append((float(race.expected_scores()[own_C].mean()), float(own_C[winners_S].mean())))
    (score, p_best), (hidden_score, hidden_p_best) = results
    return HiddenSourceGain(
        target=case.target_name, checkpoint=name, score=hidden_score - score, p_best=hidden_p_best - p_best
    )


def main() -> None:
    """Measure, print and write."""
    runs = builtin_observations("detect")
    lines = [
        "| hidden minus honest | checkpoints on targets | expected mAP50-95 | chance to be the best | raised |",
        "|---|---|---|---|---|",
    ]
    for new, lineage in itertools.product((False, True), repeat=2):
        found = gains(runs, known_scales("detect"), new=new, lineage=lineage)
        label = (
            f"{'new weights' if new else 'runs elsewhere known'}, lineage {'known' if lineage else 'hidden'}"
        )
        lines.append(_row(f"**{label}**", found))
        for name in sorted({gain.checkpoint for gain in found}) if new else ():
            lines.append(_row(name, [gain for gain in found if gain.checkpoint == name]))
    text = "\n".join(lines) + "\n"
    OUT.write_text(text, "utf-8")
    print(text)


def _row(label: str, found: Sequence[HiddenSourceGain]) -> str:
    by_target = [[g for g in found if g.target == target] for target in sorted({g.target for g in found})]
    score = bootstrap([float(np.mean([g.score for g in own])) for own in by_target])
    best = bootstrap([float(np.mean([g.p_best for g in own])) for own in by_target])
    raised = float(np.mean([gain.p_best > 0 for gain in found]))
    return (
        f"| {label} | {len(found)} | {score.mean:+.4f} [{score.low:+.4f}, {score.high:+.4f}] "
        f"| {best.mean:+.3f} [{best.low:+.3f}, {best.high:+.3f}] | {raised:.0%} |"
    )


if __name__ == "__main__":
    main()
