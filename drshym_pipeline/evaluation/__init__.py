"""Evaluation cards: scores on labelled chips, error slices, baselines, verdicts."""
