"""Evaluation on labelled chips: scores, error slices, baselines, verdicts and cards."""
