"""All evidence about all candidates on one target: cheap for every one, measured for the promising."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import replace

from recommender.blas import available_threads, torch_workers
from recommender.checkpoints import verify
from recommender.errors import CheckpointError
from recommender.evidence.metadata import metadata_evidence
from recommender.evidence.nearest import nearest_sources
from recommender.evidence.samples import SAMPLE_IMAGES, SAMPLE_SIZE, TargetSample, sample_target
from recommender.evidence.table import ESTIMATORS, estimators_for
from recommender.profile.embedding import ENCODER
from recommender.progress import Progress, silent
from recommender.records import Checkpoint, Dataset, Evidence, Profile
from recommender.store import Store

MAX_FEATURE_CANDIDATES = 12
MAX_MEASURED_AT_ONCE = 4  # each holds its activations, some 100 MB
DIGITS = 9  # of a score
LIGHT_PARAMETERS = 4e6  # a network of this size counts as one candidate, one of ten times as ten
EVIDENCE_VERSION = f"2:{ENCODER}:{SAMPLE_IMAGES}x{SAMPLE_SIZE}"  # whatever changes a number changes this
MEASURED = tuple(row.name for row in ESTIMATORS)

logger = logging.getLogger(__name__)


def gather(
    target: Dataset,
    profile: Profile,
    checkpoints: Sequence[Checkpoint],
    sources: Mapping[str, Profile],
    *,
    store: Store,
    max_feature_candidates: int = MAX_FEATURE_CANDIDATES,
    progress: Progress = silent,
) -> dict[str, Evidence]:
    """Evidence by checkpoint name; `sources` are the profiles of their source data that are known, by hash.

    Metadata speaks about every checkpoint. Features are measured for the `max_feature_candidates` most
    promising whose weights are here (large networks count several times), or taken from the store. What was
    found is kept there. A checkpoint whose file is damaged keeps its metadata evidence: loading it for a
    training says what is wrong.
    """
    source_of = {checkpoint.name: sources.get(checkpoint.source_hash or "") for checkpoint in checkpoints}
    nearest = nearest_sources(profile, list({s.dataset_hash: s for s in source_of.values() if s}.values()))
    weights = [checkpoint.sha256 for checkpoint in checkpoints if checkpoint.sha256]
    measured_before = store.evidence.of([target.content_hash], weights, EVIDENCE_VERSION)
    known = {sha256: evidence for (_, sha256), evidence in measured_before.items()}
    found = {
        checkpoint.name: metadata_evidence(
            profile,
            checkpoint,
            source_of[checkpoint.name],
            nearest_sources=nearest,
            known=known.get(checkpoint.sha256 or ""),
        )
        for checkpoint in checkpoints
    }
    chosen = choose(checkpoints, found, max_feature_candidates)
    wanted = {row.name for row in estimators_for(target.task)}
    lacking = [c for c in chosen if wanted - _scores(known.get(c.sha256 or "")).keys()]
    measured = _measure(target, lacking, progress)
    for checkpoint in checkpoints:
        scores = measured.get(checkpoint.sha256 or "") or _scores(known.get(checkpoint.sha256 or ""))
        found[checkpoint.name] = replace(found[checkpoint.name], scores=scores)
    fresh = {c.sha256: found[c.name] for c in checkpoints if c.sha256}
    changed = {sha256: evidence for sha256, evidence in fresh.items() if known.get(sha256) != evidence}
    if changed:
        store.evidence.put_all(target.content_hash, EVIDENCE_VERSION, changed)
    return found


def choose(
    checkpoints: Sequence[Checkpoint], evidence: dict[str, Evidence], max_feature_candidates: int
) -> list[Checkpoint]:
    """The most promising checkpoints that are here, best first, as many as the cap pays for.

    One of each source and classes comes before a second of any: fifty of one training leave room for the others.
    """
    here = [c for c in checkpoints if c.available and c.sha256]
    order = sorted(here, key=lambda c: (-promise(c, evidence[c.name]), c.name))
    seen: Counter[tuple[str | None, tuple[str, ...] | None]] = Counter()
    turns = []
    for place, checkpoint in enumerate(order):
        training = checkpoint.source_hash, checkpoint.class_names
        turns.append((seen[training], place))
        seen[training] += 1
    chosen: list[Checkpoint] = []
    spent = 0.0
    for checkpoint in (order[place] for _, place in sorted(turns)):
        cost = max(1.0, (checkpoint.num_parameters or LIGHT_PARAMETERS) / LIGHT_PARAMETERS)
        if spent + cost <= max_feature_candidates:
            chosen.append(checkpoint)
            spent += cost
    return chosen


def promise(checkpoint: Checkpoint, evidence: Evidence) -> float:
    """A rough order to decide who is worth measuring; the forecast makes its own."""
    similarity = 0.5 if evidence.similarity is None else evidence.similarity
    breadth = math.log10(max(checkpoint.source_images or 100, 1)) / 10  # COCO's 118k images: 0.5
    backbone = evidence.backbone_transferred or 0.0
    return similarity + breadth + 0.5 * backbone + 0.1 * (evidence.class_overlap or 0.0)


def _measure(
    target: Dataset, checkpoints: Sequence[Checkpoint], progress: Progress
) -> dict[str, dict[str, float | None]]:
    """Scores by weights' sha256. Images are decoded once, equal weights are measured once, several at a time."""
    unique = {checkpoint.sha256: checkpoint for checkpoint in checkpoints if checkpoint.sha256}
    unique = {sha256: checkpoint for sha256, checkpoint in unique.items() if _is_whole(checkpoint)}
    if not unique:
        return {}
    progress("measuring checkpoints on the images", 0, len(unique))
    sample = sample_target(target)
    scores = {}
    with torch_workers("evidence", min(MAX_MEASURED_AT_ONCE, available_threads())) as pool:
        running = {pool.submit(measure, one, sample): (sha256, one) for sha256, one in unique.items()}
        for done, future in enumerate(as_completed(running), start=1):
            sha256, checkpoint = running[future]
            try:
                scores[sha256] = future.result()
            except Exception as error:  # a network that breaks when it runs must not end the others' ranking
                logger.warning("no feature evidence for %s: %s", checkpoint.name, error)
            progress("measuring checkpoints on the images", done, len(unique))
    return scores


def _is_whole(checkpoint: Checkpoint) -> bool:
    """True if the weights file is as recorded. Known before images are decoded and torch is loaded for nothing."""
    try:
        verify(checkpoint)
    except CheckpointError as error:
        logger.warning("no feature evidence for %s: %s", checkpoint.name, error)
        return False
    return True


def measure(checkpoint: Checkpoint, sample: TargetSample) -> dict[str, float | None]:
    """Every estimator's score of one checkpoint. Raises CheckpointError when it cannot be loaded."""
    # Here, not above: torch and scikit-learn are only loaded when something is measured.
    from recommender.evidence.scores import box_features, load_backbone, scores_of

    scores = scores_of(box_features(load_backbone(checkpoint), sample), sample, checkpoint)
    # The last bits depend on where arrays lie in memory, and so on what else is measured at that time.
    return {name: score if score is None else float(f"{score:.{DIGITS}g}") for name, score in scores.items()}


def _scores(evidence: Evidence | None) -> dict[str, float | None]:
    """Scores measured earlier by the estimators of today's table."""
    return {} if evidence is None else {k: v for k, v in evidence.scores.items() if k in MEASURED}
