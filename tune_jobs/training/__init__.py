"""One training: a start, a data set, a recipe -> a run. Plain Python, no Ray; torch is loaded only by `train`."""

from tune_jobs.training.environment import prepare_environment
from tune_jobs.training.job import TrainingJob
from tune_jobs.training.run import train

__all__ = ["TrainingJob", "prepare_environment", "train"]
