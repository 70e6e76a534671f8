"""Families of models: how each is recognised, built, transferred, tapped, trained and exported.

A row of `FAMILIES` says what is particular to one kind of head; what several share lies in the package of their
library. Nothing here imports the library before a model is needed.
"""

from recommender.families.row import ModelFamily
from recommender.families.ultralytics.table import FAMILIES, family_of_head

__all__ = ["FAMILIES", "ModelFamily", "family_of_head"]
