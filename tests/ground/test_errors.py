"""An error is a lesson: where, the rule, the value, the way out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright import errors
from modelwright.errors import ModelwrightError, RecordError, SettingError, UnknownNameError


def test_the_message_says_where_the_rule_the_value_and_the_way_out() -> None:
    error = SettingError("the batch must be at least 1", where="--batch", value=0, way_out="Leave it out for 1.")
    assert str(error) == "--batch: the batch must be at least 1, but got 0. Leave it out for 1."


def test_what_is_not_given_leaves_no_trace() -> None:
    assert str(ModelwrightError("the rule must hold")) == "the rule must hold."


@pytest.mark.parametrize("value", [None, "", 0, False])
def test_a_value_that_is_nothing_is_still_shown(value: object) -> None:
    assert str(ModelwrightError("a name must be given", value=value)) == f"a name must be given, but got {value!r}."


@given(st.text(), st.text(), st.text(), st.integers())
def test_every_part_given_is_kept_and_shown(rule: str, where: str, way_out: str, value: int) -> None:
    error = RecordError(rule, where=where, value=value, way_out=way_out)
    assert (error.rule, error.where, error.value, error.way_out) == (rule, where, value, way_out)
    assert all(part in str(error) for part in (rule, where, repr(value), way_out.rstrip()))


def test_errors_are_caught_by_the_built_in_names_too() -> None:
    assert issubclass(SettingError, ValueError)
    assert issubclass(UnknownNameError, LookupError)
    assert issubclass(errors.PlatformFileError, RecordError)


def test_a_misspelt_name_is_met_with_the_nearest() -> None:
    error = UnknownNameError("platform", "tpu-v4", ["tpu-v3", "tpu-v4i", "h100"])
    assert "'tpu-v4i'" in str(error)
    assert "h100" not in str(error)


@given(st.lists(st.text("abcdefgh", min_size=4), min_size=1, unique=True), st.data())
def test_one_slip_in_a_name_is_forgiven(known: list[str], data: st.DataObject) -> None:
    meant = data.draw(st.sampled_from(known))
    place = data.draw(st.integers(0, len(meant) - 1))
    slip = meant[:place] + "z" + meant[place + 1 :]
    assert "Did you mean" in str(UnknownNameError("name", slip, known))


def test_a_short_list_is_shown_and_a_long_one_is_counted() -> None:
    assert "Known: a, b." in str(UnknownNameError("part", "zzz", ["b", "a"]))
    assert "1000 are known" in str(UnknownNameError("part", "zzz", map(str, range(1000))))
