"""Findings of a comparison of starts: pure computations from finished runs, no training, no drawing."""
