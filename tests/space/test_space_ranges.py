import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from automl_pheno.space import Choice, FloatRange, IntRange


def test_discrete_ranges_enumerate_their_values():
    assert [IntRange(min=3, max=9, step=2).at(i) for i in range(4)] == [3, 5, 7, 9]
    assert IntRange(min=3, max=9, step=2).count() == 4
    steps = FloatRange(min=0.0, max=0.3, step=0.05)
    assert [steps.at(i) for i in range(steps.count())] == [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    assert FloatRange(min=0.0, max=1.0).count() is None
    assert Choice(values=["a", "b"]).corners() == ("a", "b")


def test_the_middle_is_geometric_with_log_and_gives_way_to_a_default():
    assert FloatRange(min=1e-4, max=1e-2, log=True).middle() == 1e-3
    assert FloatRange(min=0.0, max=0.5).middle() == 0.25
    assert IntRange(min=4, max=64, log=True).middle() == 16
    assert IntRange(min=3, max=9, step=2).middle() == 5
    assert IntRange(min=3, max=9, step=2, default=9).middle() == 9
    assert Choice(values=[16, 32], default=32).middle() == 32
    assert Choice(values=[16, 32]).middle() == 16


def test_ranges_are_frozen_and_refuse_unknown_keys():
    with pytest.raises(ValidationError):
        IntRange(min=1, max=3).min = 2
    with pytest.raises(ValidationError):
        IntRange(min=1, max=3, stepp=1)


@pytest.mark.parametrize(
    ("cls", "keys", "message"),
    [
        (IntRange, {"min": 1, "max": 1}, "max must be > min"),
        (IntRange, {"min": 1, "max": 4, "step": 2}, "the last value is 3"),
        (IntRange, {"min": 1, "max": 5, "step": 2, "log": True}, "step and log exclude each other"),
        (IntRange, {"min": 0, "max": 5, "log": True}, "min must be > 0 with log"),
        (IntRange, {"min": True, "max": 5}, "valid integer"),
        (FloatRange, {"min": 0.0, "max": 1.0, "step": 0.3}, "the last value is 0.9"),
        (FloatRange, {"min": 0.0, "max": math.inf}, "finite"),
        (FloatRange, {"min": 0.0, "max": 1.0, "default": 1.5}, "default must be 0.0 to 1.0, got 1.5"),
        (Choice, {"values": []}, "values must not be empty"),
        (Choice, {"values": [1, "a"]}, "values must be of one type"),
        (Choice, {"values": [True, 1]}, "values must be of one type"),
        (Choice, {"values": ["a", "a"]}, "got 'a' twice"),
        (Choice, {"values": ["a"], "default": "b"}, "default must be one of the values"),
    ],
)
def test_unsound_ranges_are_refused(cls, keys, message):
    with pytest.raises(ValidationError, match=message):
        cls(**keys)


def test_cast_refuses_what_is_outside():
    with pytest.raises(ValueError, match=r"must be 3 to 9 in steps of 2, got 4"):
        IntRange(min=3, max=9, step=2).cast(4)
    with pytest.raises(ValueError, match=r"must be a whole number, got 3\.5"):
        IntRange(min=3, max=9).cast(3.5)
    with pytest.raises(ValueError, match="must be a number, got 'x'"):
        FloatRange(min=0.0, max=1.0).cast("x")
    with pytest.raises(ValueError, match="must be one of"):
        Choice(values=["a", "b"]).cast("c")


def test_cast_gives_the_type_of_the_range():
    assert type(IntRange(min=1, max=5).cast(3.0)) is int
    assert type(FloatRange(min=0.0, max=5.0).cast(3)) is float
    assert Choice(values=[True, False]).cast(1) is True  # as KerasTuner hands booleans back


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 50), st.integers(1, 9), st.integers(1, 30))
def test_every_draw_is_inside(u, low, step, count):
    for limits in (
        IntRange(min=low, max=low + step * count, step=step),
        IntRange(min=low, max=low + count, log=True),
        FloatRange(min=low / 100, max=low / 100 + count),
        FloatRange(min=low / 1000, max=low / 1000 + count, log=True),
        FloatRange(min=0.0, max=count * 0.05, step=0.05) if count * 0.05 == round(count * 0.05, 2) else None,
        Choice(values=list(range(count))),
    ):
        if limits is not None:
            value = limits.draw(u)
            assert limits.cast(value) == value
            assert limits.cast(limits.middle()) == limits.middle()


def test_draws_reach_both_ends():
    assert {IntRange(min=1, max=4).draw(u / 100) for u in range(100)} == {1, 2, 3, 4}
    assert {IntRange(min=1, max=4, log=True).draw(u / 100) for u in range(100)} == {1, 2, 3, 4}
