"""Amounts are numbers with a unit, and every unit is what physics says it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.cli.amount import BYTES, COUNTS, JOULES, RATES, SECONDS, amount
from modelwright.errors import SettingError

UNITS = st.sampled_from([SECONDS, BYTES, COUNTS, JOULES, RATES]).flatmap(
    lambda units: st.tuples(st.just(units), st.sampled_from(sorted(units)))
)


@given(UNITS, st.floats(1e-6, 1e9), st.sampled_from(["", " "]))
def test_a_number_with_a_unit_is_so_many_of_it(which: tuple[dict[str, float], str], number: float, gap: str) -> None:
    units, unit = which
    assert amount(f"{number!r}{gap}{unit}", units, "--any") == pytest.approx(number * units[unit], rel=1e-12)


def test_units_are_the_usual_ones() -> None:
    assert amount("5ms", SECONDS, "") == amount("5000us", SECONDS, "") == pytest.approx(0.005)
    assert amount("1MiB", BYTES, "") == 2**20
    assert amount("1MB", BYTES, "") == 10**6
    assert amount(".5M", COUNTS, "") == amount("500k", COUNTS, "") == 500_000
    assert amount("2k/s", RATES, "") == amount("2000", RATES, "")


@pytest.mark.parametrize("text", ["", "5", "ms", "0ms", "-5ms", "5 5ms", "5MS", "5m s", "infms", "nanms", "0x5ms"])
def test_anything_else_is_refused_with_the_option_and_examples(text: str) -> None:
    with pytest.raises(SettingError, match=r"--max-latency: .*Such as 5s, 5ms"):
        amount(text, SECONDS, "--max-latency")
