"""Quantities in words: three significant digits, the right prefix, nothing lost."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.report.quantity import duration, percent, quantity, ratio, share, significant

PREFIXES = {
    "": 0,
    "k": 3,
    "M": 6,
    "G": 9,
    "T": 12,
    "P": 15,
    "E": 18,
    "Z": 21,
    "m": -3,
    "µ": -6,
    "n": -9,
    "p": -12,
    "f": -15,
}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.00893, "s", "8.93 ms"),
        (999.9e-6, "s", "1.00 ms"),
        (140e12, "FLOP/s", "140 TFLOP/s"),
        (4.154e9, "B", "4.15 GB"),
        (5.288548e6, "", "5.29 M"),
        (128, "", "128"),
        (0.25, "", "0.250"),
        (0.0, "s", "0 s"),
    ],
)
def test_known_quantities(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


@given(st.floats(min_value=1e-15, max_value=1e21))
def test_what_is_written_is_within_half_a_unit_of_the_third_digit(value: float) -> None:
    number, unit = quantity(value, "s").split(" ")
    assert math.isclose(float(number) * 10.0 ** PREFIXES[unit.removesuffix("s")], value, rel_tol=0.00501)
    assert 1 <= float(number) < 1000


@given(st.floats(min_value=1e-9, max_value=1e9))
def test_significant_digits_need_no_exponent(value: float) -> None:
    assert "e" not in significant(value)
    assert math.isclose(float(significant(value)), value, rel_tol=0.00501)


def test_shares_and_ratios() -> None:
    assert (share(1, 3), share(1, 1000), share(0, 5), share(1, 0)) == ("33%", "<1%", "0%", "0%")
    assert ratio(1.254) == "1.25x"


def test_durations_and_percentages() -> None:
    assert [duration(seconds) for seconds in (8.93, 59.7, 725, 3600, 11531)] == [
        "8.93 s",
        "1 min 0 s",
        "12 min 5 s",
        "1 h 0 min",
        "3 h 12 min",
    ]
    assert (percent(0.91249), percent(1.0), percent(0.0)) == ("91.2%", "100.0%", "0.0%")


@given(st.floats(min_value=60, max_value=1e6))
def test_a_duration_is_within_half_of_its_smaller_unit(seconds: float) -> None:
    units = {"h": 3600, "min": 60, "s": 1}
    first, large, second, small = duration(seconds).split(" ")
    assert abs(int(first) * units[large] + int(second) * units[small] - seconds) <= units[small] / 2 + 0.5
    assert int(second) < 60
