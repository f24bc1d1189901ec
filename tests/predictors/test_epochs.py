import numpy as np
import pytest

from automl_pheno.predictors.epochs import CrossedEpochs


def run(groups, outputs, y):
    crossed = CrossedEpochs.of(groups)
    for output in outputs:
        crossed.add(output, lambda rows, output=output: float(np.corrcoef(output[rows], y[rows])[0, 1]))
    return crossed


def test_the_best_of_many_epochs_that_know_nothing_does_not_look_good():
    flattered, honest = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        y, outputs = rng.normal(size=80), rng.normal(size=(40, 80))
        flattered.append(max(np.corrcoef(output, y)[0, 1] for output in outputs))
        honest.append(np.corrcoef(run(np.arange(80), outputs, y).output, y)[0, 1])
    assert np.mean(flattered) > 0.2
    assert abs(np.mean(honest)) < 3.0 * np.std(honest) / np.sqrt(200)


def test_an_epoch_that_is_best_everywhere_is_taken_for_all_rows():
    y = np.random.default_rng(0).normal(size=50)
    outputs = [y[::-1].copy(), y + 0.1 * y[::-1], y, y + 0.5 * y[::-1]]
    np.testing.assert_array_equal(run(np.arange(50) // 5, outputs, y).output, y)


def test_groups_stay_whole_and_no_row_has_a_say_in_its_own_epoch():
    rng = np.random.default_rng(1)
    groups, y, outputs = np.repeat(np.arange(12), 4), rng.normal(size=48), rng.normal(size=(30, 48))
    before = run(groups, outputs, y)
    assert sorted(np.concatenate(before.blocks)) == list(range(48))
    assert all(len(np.unique(groups[block])) * 4 == len(block) for block in before.blocks)
    for block in before.blocks:
        other = y.copy()
        other[block] = rng.normal(size=len(block))
        np.testing.assert_array_equal(run(groups, outputs, other).output[block], before.output[block])


def test_a_training_that_goes_on_ends_as_one_in_one_go():
    rng = np.random.default_rng(2)
    y, outputs = rng.normal(size=40), rng.normal(size=(20, 40))
    whole, first, rest = (run(np.arange(40), part, y) for part in (outputs, outputs[:7], outputs[7:]))
    rest.after(first.best, first.output)
    np.testing.assert_array_equal(rest.output, whole.output)
    np.testing.assert_array_equal(rest.best, whole.best)


@pytest.mark.parametrize("score", [float("nan"), float("-inf")])
def test_of_scores_that_are_no_numbers_some_epoch_is_taken(score):
    crossed = CrossedEpochs.of(np.arange(10))
    for number in range(3):
        crossed.add(np.full(10, float(number)), lambda rows: score)
    assert np.isfinite(crossed.output).all()


def test_one_group_is_scored_at_its_own_best_epoch():
    y = np.arange(10.0)
    crossed = run(np.zeros(10, dtype=np.int64), [-y, y, -y], y)
    np.testing.assert_array_equal(crossed.output, y)
