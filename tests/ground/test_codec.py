"""Records on paper: what is written is read back the same, and what breaks a rule is named by file, key and value."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect as types

from modelwright import records
from modelwright.errors import PlatformFileError, RecordError
from modelwright.records import (
    Operator,
    Platform,
    Workload,
    convert,
    from_json,
    from_toml,
    to_json,
    to_toml,
    write_whole,
)

STRUCTS = [kind for _, kind in inspect.getmembers(records, inspect.isclass) if issubclass(kind, msgspec.Struct)]
BY_HAND = [kind for kind in STRUCTS if kind.__struct_config__.forbid_unknown_fields]
"""Records that people write down: a key that is none of theirs is refused. These are the ones that live in TOML."""


def integers(kind: types.IntType) -> st.SearchStrategy:
    low = kind.ge if kind.ge is not None else -(2**53) if kind.gt is None else kind.gt + 1
    high = kind.le if kind.le is not None else 2**53 if kind.lt is None else kind.lt - 1
    return st.integers(low, high)


def floats(kind: types.FloatType) -> st.SearchStrategy:
    low, high = (kind.ge if kind.gt is None else kind.gt), (kind.le if kind.lt is None else kind.lt)
    open_ends = {"exclude_min": kind.gt is not None, "exclude_max": kind.lt is not None}
    return st.floats(low, high, allow_nan=False, allow_infinity=False, **open_ends)


def values(kind: types.Type) -> st.SearchStrategy:
    """Whatever a field of that type may hold, by the rules that the record itself declares."""
    match kind:
        case types.Metadata():
            return values(kind.type)
        case types.StructType():
            return st.fixed_dictionaries({field.name: values(field.type) for field in kind.fields}).map(
                lambda fields: kind.cls(**fields)
            )
        case types.IntType():
            return integers(kind)
        case types.FloatType():
            return floats(kind)
        case types.StrType():
            if kind.pattern:
                most = kind.max_length if kind.max_length is not None else 2**30
                return st.from_regex(kind.pattern, fullmatch=True).filter(lambda text: len(text) <= most)
            return st.text(min_size=kind.min_length or 0, max_size=8)
        case types.LiteralType():
            return st.sampled_from(sorted(kind.values))
        case types.UnionType():
            return st.one_of(map(values, kind.types))
        case types.TupleType():
            return st.tuples(*map(values, kind.item_types))
        case types.VarTupleType():
            low = kind.min_length or 0
            high = kind.max_length if kind.max_length is not None else low + 2
            return st.lists(values(kind.item_type), min_size=low, max_size=high).map(tuple)
        case types.DictType():
            return st.dictionaries(values(kind.key_type), values(kind.value_type), max_size=2)
        case types.BoolType():
            return st.booleans()
        case types.NoneType():
            return st.none()
        case types.AnyType():
            return st.recursive(st.booleans() | st.text(max_size=8), st.lists, max_leaves=4)  # TOML has no nothing
    raise TypeError(f"records hold no {kind}")


def some(kind: type) -> st.SearchStrategy:
    """Records of a kind, of every shape that its declaration allows."""
    return values(types.type_info(kind))


WRITTEN = """
name = "toy-1"
title = "A toy"
kind = "cpu"
precision = "fp32"
execution = "eager"
sources = { matrix = "made up" }
matrix = { units = 1, tiles = [[8, 8]], depth = 1, peak = { fp32 = 1e9 } }
vector = { peak = { fp32 = 1e9 }, special = 1e8, loads = 1e8, tap = 2.0 }
launch = { eager = 0.0, compiled = 0.0, graph = 0.0, kernel = 0.0 }

[[memory]]
name = "main"
capacity = 1e9
bandwidth = 1e9
"""


large = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.parametrize("kind", STRUCTS)
@large
@given(data=st.data())
def test_a_record_survives_json(kind: type, data: st.DataObject) -> None:
    record = data.draw(some(kind))
    assert from_json(to_json(record), kind) == record


@pytest.mark.parametrize("kind", BY_HAND)
@large
@given(data=st.data())
def test_a_record_that_people_write_survives_toml(kind: type, data: st.DataObject) -> None:
    record = data.draw(some(kind))
    assert from_toml(to_toml(record), kind) == record


@pytest.mark.parametrize("kind", STRUCTS)
@large
@given(data=st.data())
def test_json_is_one_line_that_any_reader_understands(kind: type, data: st.DataObject) -> None:
    line = to_json(data.draw(some(kind)))
    assert b"\n" not in line
    assert to_json(json.loads(line)) == line


def test_what_holds_nothing_is_left_out_of_toml_however_deep() -> None:
    operator = Operator("add", "elementwise", "add", "", inputs=(), outputs=())
    assert operator.window is None
    assert "window" not in to_toml(Workload("net", 1, (), (operator,), (), 0))


@pytest.mark.parametrize("kind", STRUCTS)
def test_a_record_is_frozen(kind: type) -> None:
    assert kind.__struct_config__.frozen


@pytest.mark.parametrize(
    ("written", "broken", "where", "value"),
    [
        ("units = 1", "units = 0", "toy.toml key 'matrix.units'", 0),
        ("[[8, 8]]", "[[8, 'wide']]", "toy.toml key 'matrix.tiles[0][1]'", "wide"),
        ("bandwidth = 1e9", "bandwidth = -2.5", "toy.toml key 'memory[0].bandwidth'", -2.5),
        ("fp32 = 1e9 } }", "fp99 = 1e9 } }", "toy.toml key 'matrix.peak'", {"fp99": 1e9}),
        ("fp32 = 1e9 } }", "fp32 = -1.5 } }", "toy.toml key 'matrix.peak'", {"fp32": -1.5}),
        ('kind = "cpu"', 'kind = "abacus"', "toy.toml key 'kind'", "abacus"),
        ('name = "toy-1"', 'name = "Toy 1"', "toy.toml key 'name'", "Toy 1"),
    ],
)
def test_a_broken_rule_is_named_by_file_key_and_value(written: str, broken: str, where: str, value: object) -> None:
    with pytest.raises(PlatformFileError) as caught:
        from_toml(WRITTEN.replace(written, broken, 1), Platform, where="toy.toml", error=PlatformFileError)
    assert (caught.value.where, caught.value.value) == (where, value)
    assert where in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("written", "broken", "lesson"),
    [
        ("depth = 1, ", "", "missing required field `depth`"),
        ("depth = 1", "depth = 1, colour = 2", "unknown field `colour`"),
    ],
)
def test_a_missing_and_an_unknown_key_are_named(written: str, broken: str, lesson: str) -> None:
    with pytest.raises(RecordError, match=f"toy.toml key 'matrix': .*{lesson}"):
        from_toml(WRITTEN.replace(written, broken, 1), Platform, where="toy.toml")


@pytest.mark.parametrize("read", [from_toml, from_json])
@given(text=st.text())
def test_whatever_is_no_record_is_a_record_error(read: Callable[[str, type], object], text: str) -> None:
    with pytest.raises(RecordError, match="Platform"):
        read(text, Platform)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_plain_data_of_another_shape_is_refused(data: object) -> None:
    with pytest.raises(RecordError, match="somewhere"):
        convert(data, Workload, where="somewhere")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_whole(path, "old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record.json"
    write_whole(path, "old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("the disk is full")))
    with pytest.raises(OSError, match="the disk is full"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
