"""A subscription hears what its filter policy wants, by SNS's rules and examples."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import SettingError
from modelwright.serve.notices import Attribute
from modelwright.serve.notices.filtering import filter_of

PLAIN = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["a", "b", "ab", "A"])


def wants(policy: Any, message: Any) -> bool:
    return filter_of(json.dumps(policy), "MessageBody").wants(json.dumps(message), {})


def wants_of(policy: Any, **attributes: Attribute) -> bool:
    return filter_of(json.dumps(policy), "MessageAttributes").wants("x", attributes)


@pytest.mark.parametrize(
    ("policy", "yes", "no"),
    [  # Amazon SNS Developer Guide: string, numeric and key matching, AND/OR logic
        ({"i": ["rugby", "tennis"]}, [{"i": "rugby"}, {"i": ["chess", "tennis"]}], [{"i": "baseball"}, {}]),
        ({"i": [{"anything-but": ["rugby", "tennis"]}]}, [{"i": "ball"}, {"i": ["rugby", "ball"]}], [{"i": "rugby"}]),
        ({"i": [{"anything-but": {"prefix": "order-"}}]}, [{"i": "data-entry"}], [{"i": "order-cancelled"}]),
        ({"i": [{"anything-but": {"suffix": "ball"}}]}, [{"i": "rugby"}], [{"i": "baseball"}]),
        ({"i": [{"equals-ignore-case": "tennis"}]}, [{"i": "TENNIS"}, {"i": "Tennis"}], [{"i": "ennis"}]),
        ({"i": [{"prefix": "bas"}]}, [{"i": "baseball"}, {"i": "basketball"}], [{"i": "rugby"}, {"i": 1}]),
        ({"i": [{"suffix": "ball"}]}, [{"i": "baseball"}], [{"i": "ballast"}]),
        ({"ip": [{"cidr": "10.0.0.0/24"}]}, [{"ip": "10.0.0.255"}], [{"ip": "10.1.1.0"}, {"ip": "x"}]),
        ({"p": [{"numeric": ["=", 301.5]}]}, [{"p": 301.5}, {"p": 3.015e2}], [{"p": 301}, {"p": "301.5"}]),
        ({"p": [{"numeric": [">", 0, "<=", 150]}]}, [{"p": 100}, {"p": 150}], [{"p": 0}, {"p": 151}]),
        ({"p": [{"anything-but": [100, 500]}]}, [{"p": 101}], [{"p": 100.0}, {"p": [100, 500]}]),
        ({"s": [{"exists": True}]}, [{"s": None}, {"s": "x"}], [{}, {"s": {"t": 1}}]),
        ({"s": [{"exists": False}]}, [{}, {"t": "x"}], [{"s": "x"}]),
        ({"a": ["x"], "b": ["y"]}, [{"a": "x", "b": "y"}], [{"a": "x"}, {"a": "x", "b": "z"}]),
        ({"$or": [{"a": ["x"]}, {"b": [{"numeric": [">", 1]}]}]}, [{"a": "x"}, {"b": 2}], [{"a": "y", "b": 1}]),
        ({"a": {"b": ["x"]}}, [{"a": {"b": "x"}}], [{"a": "x"}, {"b": "x"}, {"a": {"b": "y"}}]),
        ({"a": {"b": ["x"], "c": ["y"]}}, [{"a": [{"b": "x", "c": "y"}]}], [{"a": [{"b": "x"}, {"c": "y"}]}]),
        ({"a": [True]}, [{"a": True}], [{"a": 1}, {"a": "true"}]),
        ({"a": [None]}, [{"a": None}], [{"a": False}, {}]),
    ],
)
def test_the_rules_hold_on_their_own_examples(policy: Any, yes: list[Any], no: list[Any]) -> None:
    assert all(wants(policy, message) for message in yes)
    assert not any(wants(policy, message) for message in no)


def test_attributes_are_seen_by_their_types() -> None:
    assert wants_of({"p": [{"numeric": [">=", 200]}]}, p=Attribute("Number", "210.75"))
    assert not wants_of({"p": [{"numeric": [">=", 200]}]}, p=Attribute("String", "210.75"))
    assert wants_of({"i": ["rugby"]}, i=Attribute("String.Array", '["soccer", "rugby"]'))
    assert not wants_of({"i": ["rugby"]}, i=Attribute("String", '["soccer", "rugby"]'))
    assert wants_of({"i": [{"exists": True}]}, i=Attribute("Binary", "aGk="))
    assert not wants_of({"i": ["aGk="]}, i=Attribute("Binary", "aGk="))
    assert not wants_of({"i": ["x"]})


@given(st.dictionaries(st.sampled_from("abc"), st.lists(PLAIN, min_size=1, max_size=3), min_size=1), st.data())
def test_plain_values_are_wanted_where_each_name_has_one_of_its_own(
    policy: dict[str, Any], data: st.DataObject
) -> None:
    message = data.draw(st.dictionaries(st.sampled_from("abcd"), PLAIN))

    def same(one: Any, other: Any) -> bool:
        return type(one) is type(other) and one == other

    wanted = all(name in message and any(same(message[name], one) for one in ones) for name, ones in policy.items())
    assert wants(policy, message) == wanted


@given(PLAIN, st.lists(PLAIN.filter(lambda one: isinstance(one, str | int) and not isinstance(one, bool)), min_size=1))
def test_anything_but_is_the_opposite_of_the_values(value: Any, but: list[Any]) -> None:
    assert wants({"a": [{"anything-but": but}]}, {"a": value}) != wants({"a": but}, {"a": value})


@pytest.mark.parametrize(
    "policy",
    [
        "{",
        "[]",
        "{}",
        '{"a": "x"}',
        '{"a": []}',
        '{"a": [{"prefix": 1}]}',
        '{"a": [{"numeric": ["=", "1"]}]}',
        '{"a": [{"numeric": ["<", 1, ">", 2]}]}',
        '{"a": [{"exists": "true"}]}',
        '{"a": [{"cidr": "10.0.0.1/8"}]}',
        '{"a": [{"nonsense": 1}]}',
        '{"a": [{"anything-but": []}]}',
        '{"a": [["x"]]}',
        '{"$or": [{"a": ["x"]}]}',
        '{"a": {"b": {"c": {"d": {"e": {"f": ["x"]}}}}}}',
        json.dumps({name: [1, 2, 3, 4, 5, 6] for name in "abc"}),
    ],
)
def test_a_policy_that_means_nothing_is_refused(policy: str) -> None:
    with pytest.raises(SettingError):
        filter_of(policy, "MessageBody")


def test_objects_are_for_messages_alone_and_scopes_are_two() -> None:
    for policy, scope in (('{"a": {"b": ["x"]}}', ""), ('{"a": ["x"]}', "Elsewhere")):
        with pytest.raises(SettingError):
            filter_of(policy, scope)


def test_a_message_that_combines_in_too_many_ways_takes_no_longer() -> None:
    many = {f"k{number}": [{"a": one} for one in range(50)] for number in range(50)}
    assert not wants({"z": ["x"]}, many)
    assert not filter_of('{"a": ["x"]}', "MessageBody").wants("[" * 100_000, {})
