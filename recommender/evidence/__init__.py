"""Numbers about a checkpoint on a target that cost no training."""

from recommender.evidence.gather import EVIDENCE_VERSION, gather
from recommender.evidence.metadata import metadata_evidence
from recommender.evidence.table import ESTIMATORS, Estimator

__all__ = ["ESTIMATORS", "EVIDENCE_VERSION", "Estimator", "gather", "metadata_evidence"]
