"""Numbers about a checkpoint on a target that cost no training."""

from recommender.evidence.gather import EVIDENCE_VERSION, gather
from recommender.evidence.metadata import profile_evidence
from recommender.evidence.table import ESTIMATORS, Estimator, estimators_for

__all__ = [
    "ESTIMATORS",
    "EVIDENCE_VERSION",
    "Estimator",
    "estimators_for",
    "gather",
    "profile_evidence",
]
