"""Trials and sweeps on Ray Tune: many short trainings across a cluster, each counted once."""
