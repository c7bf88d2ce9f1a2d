"""Which messages a subscription wants: SNS's filter policies, by attributes or by what stands in the message.

Source: Amazon SNS Developer Guide, "Amazon SNS subscription filter policies".
"""

import ipaddress
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, final

from modelwright.errors import SettingError
from modelwright.serve.notices.letters import Attribute

MOST_BYTES = 256 * 1024
_MOST_COMBINATIONS = 150
_MOST_DEEP = 5
_MOST_READINGS = 1000  # of a message whose lists hold objects: each combination of these is one
_BODY = "MessageBody"
_SCOPES = ("", "MessageAttributes", _BODY)

Test = Callable[[Any], bool]
"""Whether a value is one of those wanted."""


@final
@dataclass(frozen=True)
class Filter:
    """What a subscription wants to hear.

    Attributes:
        policy: name -> wanted values, or a policy of what stands below the name.
        body: it is about the message, not about its attributes.
    """

    policy: Mapping[str, Any] | None = None
    body: bool = False

    def wants(self, message: str, attributes: Mapping[str, Attribute]) -> bool:
        """Whether it wants a message."""
        if self.policy is None or not self.policy:
            return True
        if not self.body:
            return _matches(self.policy, {name: _value(one) for name, one in attributes.items()})
        try:
            said = json.loads(message)
        except (ValueError, RecursionError):
            return False
        return isinstance(said, dict) and any(
            _matches(self.policy, one) for one in islice(_single(said), _MOST_READINGS)
        )


def filter_of(policy: str, scope: str) -> Filter:
    """The filter of a subscription's FilterPolicy and FilterPolicyScope, "" for none.

    Raises:
        SettingError: one of them breaks a rule.
    """
    if scope not in _SCOPES:
        raise SettingError("FilterPolicyScope must be MessageAttributes or MessageBody", value=scope)
    if not policy:
        return Filter()
    try:
        read = json.loads(policy)
    except (ValueError, RecursionError) as failure:
        raise SettingError("FilterPolicy must be JSON", value=policy[:200]) from failure
    if not isinstance(read, dict) or len(policy.encode()) > MOST_BYTES:
        raise SettingError("FilterPolicy must be one object of at most 256 KB", value=policy[:200])
    combinations = _check(read, scope == _BODY, 1)
    if combinations > _MOST_COMBINATIONS:
        rule = f"FilterPolicy must combine its values in at most {_MOST_COMBINATIONS} ways"
        raise SettingError(rule, value=combinations)
    return Filter(read, scope == _BODY)


def _check(policy: Mapping[str, Any], body: bool, depth: int) -> int:
    """Check a policy, and count in how many ways its values combine."""
    if not policy or depth > _MOST_DEEP:
        raise SettingError(f"each object of a FilterPolicy must hold keys, at most {_MOST_DEEP} deep", value=policy)
    ways = 1
    for name, wanted in policy.items():
        if name == "$or" and isinstance(wanted, list):
            if len(wanted) < 2 or not all(isinstance(one, dict) for one in wanted):
                raise SettingError("$or must hold two objects or more", value=wanted)
            ways *= sum(_check(one, body, depth) for one in wanted)
        elif isinstance(wanted, list) and wanted:
            for one in wanted:
                _test(one)
            ways *= len(wanted) * (depth if body else 1)
        elif isinstance(wanted, dict) and body:
            ways *= _check(wanted, body, depth + 1)
        else:
            rule = "a FilterPolicy must give each key a list of values" + (" or an object" if body else "")
            raise SettingError(rule, where=name, value=wanted)
    return ways


def _matches(policy: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    for name, wanted in policy.items():
        if name == "$or" and isinstance(wanted, list):
            if not any(_matches(one, said) for one in wanted):
                return False
        elif isinstance(wanted, dict):
            below = said.get(name)
            if not _matches(wanted, below if isinstance(below, dict) else {}):
                return False
        elif not any(_hits(one, name, said) for one in wanted):
            return False
    return True


def _hits(wanted: Any, name: str, said: Mapping[str, Any]) -> bool:
    there = name in said and not isinstance(said[name], dict)
    if isinstance(wanted, dict) and "exists" in wanted:
        return there is bool(wanted["exists"])
    if not there:
        return False
    values = said[name] if isinstance(said[name], list) else [said[name]]
    test = _test(wanted)
    return any(test(value) for value in values)


def _test(wanted: Any) -> Test:
    """The test that one element of a list stands for.

    Raises:
        SettingError: it stands for none.
    """
    if wanted is None or isinstance(wanted, bool):
        return lambda value: value is wanted
    if isinstance(wanted, str):
        return lambda value: value == wanted and isinstance(value, str)
    if isinstance(wanted, int | float):
        return lambda value: _is_number(value) and value == wanted
    if isinstance(wanted, dict) and len(wanted) == 1:
        (operator, word), *_ = wanted.items()
        if operator in _OPERATORS and (test := _OPERATORS[operator](word)) is not None:
            return test
    raise SettingError("each value of a FilterPolicy must be plain or one of SNS's operators", value=wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text_test(compare: Callable[[str, str], bool]) -> Callable[[Any], Test | None]:
    def make(word: Any) -> Test | None:
        return (lambda value: isinstance(value, str) and compare(value, word)) if isinstance(word, str) else None

    return make


def _exists(word: Any) -> Test | None:
    return (lambda value: word) if isinstance(word, bool) else None


def _anything_but(word: Any) -> Test | None:
    words = word if isinstance(word, list) else [word]
    inner = ("prefix", "suffix", "equals-ignore-case")
    for one in words:
        plain = isinstance(one, str | int | float) and not isinstance(one, bool)
        if not plain and not (isinstance(one, dict) and len(one) == 1 and next(iter(one)) in inner):
            return None
    tests = [_test(one) for one in words]
    return (lambda value: not any(test(value) for test in tests)) if tests else None


def _numeric(word: Any) -> Test | None:
    if not isinstance(word, list) or len(word) not in (2, 4):
        return None
    pairs = list(zip(word[::2], word[1::2], strict=True))
    if not all(sign in _SIGNS and _is_number(bound) for sign, bound in pairs):
        return None
    if len(pairs) == 2 and (pairs[0][0][0] != ">" or pairs[1][0][0] != "<" or pairs[0][1] >= pairs[1][1]):
        return None
    return lambda value: _is_number(value) and all(_SIGNS[sign](value, bound) for sign, bound in pairs)


def _cidr(word: Any) -> Test | None:
    try:
        network = ipaddress.ip_network(word)
    except ValueError:
        return None

    def test(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return test


_SIGNS: dict[Any, Callable[[float, float], bool]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}

_OPERATORS: dict[str, Callable[[Any], Test | None]] = {
    "prefix": _text_test(str.startswith),
    "suffix": _text_test(str.endswith),
    "equals-ignore-case": _text_test(lambda value, word: value.casefold() == word.casefold()),
    "anything-but": _anything_but,
    "exists": _exists,
    "numeric": _numeric,
    "cidr": _cidr,
}


def _value(one: Attribute) -> Any:
    """An attribute as a policy sees it. One of type Binary is there, but has no value that any policy names."""
    kind = one.type.split(".", 1)
    try:
        if kind[0] == "Number":
            number = float(one.value)
            return number if math.isfinite(number) else None
        if one.type == "String.Array":
            read = json.loads(one.value)
            return read if isinstance(read, list) else one.value
    except ValueError:
        return one.value
    return b"" if kind[0] == "Binary" else one.value


def _single(said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A message whose lists of objects are taken apart: one for each object of each list."""
    for name, value in said.items():
        if isinstance(value, dict):
            below = list(islice(_single(value), _MOST_READINGS))
            if len(below) != 1 or below[0] is not value:
                for one in below:
                    yield from _single({**said, name: one})
                return
        if isinstance(value, list) and any(isinstance(one, dict) for one in value):
            for one in value:
                if isinstance(one, dict):
                    yield from _single({**said, name: one})
            return
    yield said
