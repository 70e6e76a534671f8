"""What a comparison of starts says: pure computations from finished runs, no training, no drawing."""
