import pytest

from automl_pheno.space.config import FitConfig
from automl_pheno.training.schedule import learning_rate


def test_a_constant_rate_stays() -> None:
    fit = FitConfig(learning_rate=0.01, max_epochs=10)
    assert [learning_rate(fit, e) for e in (0, 5, 10)] == [0.01] * 3


def test_cosine_ends_at_zero_and_is_half_way_in_the_middle() -> None:
    fit = FitConfig(learning_rate=0.01, max_epochs=10, schedule="cosine")
    assert learning_rate(fit, 0) == 0.01
    assert learning_rate(fit, 5) == pytest.approx(0.005)
    assert learning_rate(fit, 10) == pytest.approx(0.0)


def test_exponential_ends_at_one_percent() -> None:
    fit = FitConfig(learning_rate=0.01, max_epochs=10, schedule="exponential")
    assert learning_rate(fit, 10) == pytest.approx(0.0001)
    assert learning_rate(fit, 5) == pytest.approx(0.001)


def test_warm_up_rises_linearly_to_the_rate() -> None:
    fit = FitConfig(learning_rate=0.01, max_epochs=10, warmup_epochs=3)
    rates = [learning_rate(fit, e) for e in range(5)]
    assert rates == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01])
