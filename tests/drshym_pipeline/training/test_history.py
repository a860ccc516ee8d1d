import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score

from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.training.history import best_entry, is_exhausted, validation_scores


def entries(pooled: list[float], mean: list[float]) -> list[dict[str, float]]:
    return [
        {"step": float(step), "valid_iou": a, "valid_mean_iou": b}
        for step, (a, b) in enumerate(zip(pooled, mean, strict=True), start=1)
    ]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.5], False), ([0.5, 0.4], False), ([0.5, 0.4, 0.5], True), ([0.5, 0.4, 0.6], False), ([0.1, 0.6, 0.2], False)],
)
def test_patience_counts_validations_without_a_better_score(scores: list[float], expected: bool) -> None:
    rising = [step / 10 for step in range(len(scores))]
    assert is_exhausted(entries(scores, rising), 2, "pooled") is expected
    assert is_exhausted(entries(rising, scores), 2, "mean") is expected
    assert is_exhausted(entries(rising, scores), 2, "last") is expected


def test_the_kept_weights_are_those_the_setting_names() -> None:
    history = entries([0.7, 0.9, 0.9, 0.8], [0.5, 0.3, 0.4, 0.2])
    assert best_entry(history, "pooled")["step"] == 2
    assert best_entry(history, "mean")["step"] == 1
    assert best_entry(history, "last")["step"] == 4


def histogram(logits: np.ndarray, labels: np.ndarray) -> LogitHistogram:
    found = LogitHistogram()
    found.add(logits, labels)
    return found


@given(seed=st.integers(0, 30))
def test_scores_are_those_of_an_independent_judge(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = [(rng.random(300) < share).astype(np.int8) for share in (0.05, 0.5, 0.0, 0.9)]
    # In the middle of a bin, so that no logit is moved.
    logits = [np.round(rng.normal(3 * label - 1.5, 2.0)) + 0.005 for label in labels]
    pooled, mean = validation_scores([histogram(a, b) for a, b in zip(logits, labels, strict=True)])
    every_logit, every_label = np.concatenate(logits), np.concatenate(labels)
    cuts = np.unique(every_logit)
    best = max(cuts, key=lambda cut: f1_score(every_label, every_logit >= cut))
    assert pooled == pytest.approx(jaccard_score(every_label, every_logit >= best))
    f1 = [f1_score(every_label, every_logit >= cut) for cut in cuts]
    candidates = [cut for cut, score in zip(cuts, f1, strict=True) if score == pytest.approx(max(f1))]
    means = [
        np.mean([jaccard_score(b, a >= cut) for a, b in zip(logits, labels, strict=True) if b.any()])
        for cut in candidates
    ]
    assert any(mean == pytest.approx(value) for value in means)


def test_chips_without_water_or_without_land_together_score_nothing() -> None:
    dry = histogram(np.array([-1.005, 2.005]), np.array([0, 0], np.int8))
    wet = histogram(np.array([-1.005, 2.005]), np.array([1, 1], np.int8))
    assert validation_scores([dry, LogitHistogram()]) == (0.0, 0.0)
    assert validation_scores([wet]) == (0.0, 0.0)
    assert validation_scores([]) == (0.0, 0.0)
