"""Outputs own head, loss and score: each against its definition."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api import IGNORED, OneLabel, PairLabel, StepLabels, Values, one_hot


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_accuracy_is_the_share_of_right_labels():
    outputs, labels = OneLabel(3), torch.tensor([0, 1, 2, 2])

    figures = outputs.per_example(one_hot(torch.tensor([0, 1, 1, 2]), 3), labels)

    assert outputs.score(figures, 2) == {"accuracy": 0.75}


def test_mean_pooling_ignores_padding():
    hidden = drawn(2, 5, 3)
    padded = hidden.clone()
    padded[1, 2:] = 1e6

    pooled = OneLabel(2).gather(padded, torch.tensor([5, 2]))

    torch.testing.assert_close(pooled[0], hidden[0].mean(0))
    torch.testing.assert_close(pooled[1], hidden[1, :2].mean(0))


def test_first_pooling_reads_the_first_position():
    hidden, outputs = drawn(2, 5, 3), OneLabel(2, pool="first")

    assert torch.equal(outputs.gather(hidden, torch.tensor([5, 2])), hidden[:, 0])
    assert torch.equal(outputs.gather(hidden, None), hidden[:, 0])


def test_last_pooling_reads_the_last_valid_position():
    hidden = drawn(2, 5, 3)

    pooled = OneLabel(2, pool="last").gather(hidden, torch.tensor([5, 2]))

    assert torch.equal(pooled, torch.stack([hidden[0, 4], hidden[1, 1]]))


def test_a_pair_is_read_from_its_own_two_documents():
    hidden = drawn(4, 5, 3)

    first = PairLabel(2).gather(hidden, None)
    hidden[2:] = 0

    assert torch.equal(PairLabel(2).gather(hidden, None)[0], first[0])
    assert PairLabel(2).head(3)(first).shape == (2, 2)


def test_values_are_read_from_the_last_valid_positions():
    hidden = drawn(2, 6, 3)

    read = Values(1, last=2).gather(hidden, torch.tensor([6, 4]))

    assert torch.equal(read, torch.stack([hidden[0, 4:6], hidden[1, 2:4]]))


@given(st.integers(2, 9), st.integers(1, 4))
def test_r2_is_one_for_the_truth_and_zero_for_the_mean(n, last):
    targets = drawn(n, last + 1, 1).double()
    outputs = Values(1, last=last + 1)

    truth = outputs.score(outputs.per_example(targets, targets), n)
    mean = outputs.constant(targets).expand_as(targets)

    assert truth["r2"] == pytest.approx(1.0)
    assert outputs.score(outputs.per_example(mean, targets), n)["r2"] == pytest.approx(
        0.0, abs=1e-9
    )


def test_r2_of_batches_is_the_mean_of_each_batchs_own_r2():
    targets, predictions = drawn(6, 4, 2).double(), drawn(6, 4, 2).double() / 3
    outputs = Values(2, last=4)

    def one(rows):
        t, p = targets[rows], predictions[rows]
        return 1 - (p - t).square().mean() / (t - t.mean()).square().mean().clamp(min=1e-5)

    expected = (one(slice(0, 4)) + one(slice(4, 6))) / 2

    scores = outputs.score(outputs.per_example(predictions, targets), batch=4)

    assert scores["r2_batches"] == pytest.approx(expected.item())
    assert scores["r2"] == pytest.approx(one(slice(0, 6)).item())


@given(st.integers(1, 20), st.sampled_from(["r2", "rmse"]), st.floats(-1e3, 1e3))
def test_the_headline_is_to_the_bit_what_all_scores_say(n, metric, mean):
    targets = drawn(n, 3, 2).double() + mean
    outputs = Values(2, last=3, metric=metric)
    figures = outputs.per_example(targets * 0.9, targets)

    assert outputs.headline(figures, 2) == outputs.score(figures, 2)[metric]


def test_a_prediction_that_is_no_number_has_a_headline_that_is_none():
    targets = drawn(4, 1, 1).double()
    outputs = Values(1, last=1)

    assert math.isnan(outputs.headline(outputs.per_example(targets * math.nan, targets), 2))


def test_one_value_is_read_from_the_average_of_the_valid_positions():
    hidden = drawn(2, 6, 3)
    outputs = Values(1, last=None)

    read = outputs.gather(hidden, torch.tensor([6, 4]))

    torch.testing.assert_close(
        read, torch.stack([hidden[0].mean(0), hidden[1, :4].mean(0)])[:, None]
    )
    torch.testing.assert_close(outputs.gather(hidden, None)[:, 0], hidden.mean(1))


def test_an_error_as_the_metric_is_better_when_it_is_lower():
    outputs = Values(1, last=None, metric="rmse")
    targets = torch.tensor([90.0, 60.0]).view(2, 1, 1)

    scores = outputs.score(
        outputs.per_example(targets + torch.tensor([3.0, -4.0]).view(2, 1, 1), targets), 2
    )

    assert scores["rmse"] == pytest.approx(12.5**0.5)
    assert (outputs.higher_is_better, Values(1, last=1).higher_is_better) == (False, True)


def test_a_head_predicts_what_it_starts_from_when_it_sees_nothing():
    outputs = Values(1, last=None, start=80.0)

    assert outputs.head(4)(torch.zeros(3, 1, 4)).detach().eq(80).all()


def test_ignored_positions_count_neither_in_loss_nor_in_score():
    outputs = StepLabels(3)
    targets = torch.tensor([[0, IGNORED, 2]])
    predictions = one_hot(torch.tensor([[0, 1, 1]]), 3)

    scores = outputs.score(outputs.per_example(predictions, targets), 1)

    assert scores["accuracy"] == 0.5
    assert outputs.loss(predictions, targets) == outputs.loss(
        predictions[:, [0, 2]], targets[:, [0, 2]]
    )


def test_macro_f1_is_the_mean_of_the_classes_f1():
    outputs = StepLabels(2, metric="macro_f1")
    targets = torch.tensor([[0, 0, 0, 1]])
    predictions = one_hot(torch.tensor([[0, 0, 1, 1]]), 2)

    scores = outputs.score(outputs.per_example(predictions, targets), 1)

    assert scores["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)


def test_step_labels_are_scored_by_position_by_class_and_by_sequence():
    """Class 3 neither occurs nor is predicted, class 2 is predicted and never true."""
    targets = torch.tensor([[0, 0, 0, 1], [1, IGNORED, 0, IGNORED]])
    predictions = one_hot(torch.tensor([[0, 0, 2, 1], [1, 2, 0, 3]]), 4)

    scores = StepLabels(4).score(StepLabels(4).per_example(predictions, targets), 1)

    assert scores["accuracy"] == pytest.approx(5 / 6)
    assert scores["macro_accuracy"] == pytest.approx((3 / 4 + 1 + 0) / 3)
    assert scores["sequence_accuracy"] == 0.5
    assert scores["macro_f1"] == pytest.approx((6 / 7 + 1 + 0) / 3)


def test_balanced_loss_gives_every_class_an_equal_say():
    outputs = StepLabels(2, balanced=True)
    targets = torch.tensor([[0] * 9 + [1]])
    predictions = drawn(1, 10, 2)

    nll = torch.nn.functional.cross_entropy(predictions[0], targets[0], reduction="none")

    expected = (nll[:9].mean() + nll[9]) / 2
    torch.testing.assert_close(outputs.loss(predictions, targets), expected)


@pytest.mark.parametrize("outputs", [OneLabel(4), PairLabel(4), StepLabels(4)])
def test_the_best_constant_label_is_the_commonest(outputs):
    targets = torch.tensor([3, 3, 1, 0])

    assert outputs.constant(targets).argmax(-1).unique() == 3


def test_labels_may_be_cached_as_bytes_when_an_oracle_answers_with_them() -> None:
    labels = torch.tensor([[2, 0]], dtype=torch.uint8)

    assert torch.equal(one_hot(labels, 3), one_hot(labels.long(), 3))


def test_the_error_of_an_example_is_wrong_or_right_a_share_or_a_squared_error():
    labels = torch.tensor([[0, 1, IGNORED, 2], [2, 2, 2, 2], [IGNORED] * 4])
    guesses = one_hot(torch.tensor([[0, 2, 1, 2], [2, 2, 2, 2], [0, 0, 0, 0]]), 3)
    steps, one, values = StepLabels(3), OneLabel(3), Values(1, last=2)

    found = steps.errors(steps.per_example(guesses[:2], labels[:2]))
    torch.testing.assert_close(found, torch.tensor([1 / 3, 0.0], dtype=torch.float64))
    assert one.errors(one.per_example(guesses[:, 1], torch.tensor([1, 2, 0]))).tolist() == [1, 0, 0]
    targets = torch.zeros(2, 2, 1)
    predictions = torch.tensor([[[1.0], [3.0]], [[0.0], [0.0]]])
    assert values.errors(values.per_example(predictions, targets)).tolist() == [5, 0]
