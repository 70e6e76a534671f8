"""`recommend compare`: chosen starts trained side by side through the sweep, scored, and laid out for a report."""
