"""Platform files: published truths, sources for every number, errors that name the key, and what-if changes."""

import copy
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import PlatformFileError, SettingError, UnknownNameError
from modelwright.hardware.catalogue import (
    claims,
    numbers,
    parse_platform,
    platform,
    platform_names,
    set_values,
    source_of,
)
from modelwright.records import to_toml

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "src" / "modelwright" / "hardware" / "platforms"
NAMES = platform_names()
GPUS = [name for name in NAMES if platform(name).kind == "gpu"]
TPUS = [name for name in NAMES if platform(name).kind == "tpu"]

# FLOP an SM and cycle on the tensor cores (half-precision inputs, fp32 accumulation), and their boost clock in GHz
TENSOR = {
    "t4": (1024, 1.59), "v100-sxm": (1024, 1.53), "v100-pcie": (1024, 1.38), "a100": (2048, 1.41), "l4": (1024, 2.04),
    "h100": (4096, 1.83), "h200": (4096, 1.83), "rtx-3090": (512, 1.695), "rtx-4090": (512, 2.52),
    "rtx-5090": (512, 2.407), "rtx-pro-6000": (1024, 2.617), "rtx-pro-6000-max-q": (1024, 2.28),
}  # fmt: skip
# cores, MXUs a core, dimension, clock in GHz, where it is published
ARRAYS = {
    "tpu-v2": (2, 1, 128, 0.7), "tpu-v4i": (1, 4, 128, 1.05), "tpu-v4": (2, 4, 128, 1.05), "tpu-v5e": (1, 4, 128, 1.5),
}  # fmt: skip


def plain(name: str) -> dict[str, Any]:
    return tomllib.loads((FILES / f"{name}.toml").read_text(encoding="utf-8"))


def paths(data: object, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to every value of a file."""
    if above:
        yield above
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from paths(value, (*above, key))


def test_the_promised_platforms_are_there() -> None:
    tpus = {"tpu-v2", "tpu-v3", "tpu-v4i", "tpu-v4", "tpu-v5e", "tpu-v5p", "tpu-v6e", "tpu-7x"}
    assert set(TPUS) == tpus
    assert set(GPUS) == TENSOR.keys()
    assert set(NAMES) == tpus | TENSOR.keys() | {"x86", "core-i9-10940x"}
    assert platform("v100").name == "v100-sxm"
    assert platform("cpu").name == "x86"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_named_after_its_platform_and_every_number_has_a_source(name: str) -> None:
    found = platform(name)
    assert found.name == name
    assert platform(FILES / f"{name}.toml") == platform(str(FILES / f"{name}.toml")) == found
    assert all(source_of(found, key) for key in claims(found))
    kinds = {"tpu": "hbm", "cpu": "dram"}
    assert found.main_memory.name == kinds.get(found.kind, found.main_memory.name)


@pytest.mark.parametrize("name", NAMES)
def test_a_platform_survives_being_written_down(name: str) -> None:
    found = platform(name)
    assert parse_platform(to_toml(found), "again") == found


def test_tpu_v4i_against_v2_as_its_designers_compare_them() -> None:
    """Jouppi et al., ISCA 2021: 2.98 times the peak, 0.86 times the bandwidth, and a CMEM that v2 lacks."""
    new, old = platform("tpu-v4i"), platform("tpu-v2")
    assert new.matrix.peak["bf16"] / old.matrix.peak["bf16"] == pytest.approx(2.98, abs=0.005)
    assert new.main_memory.bandwidth / old.main_memory.bandwidth == pytest.approx(0.86, abs=0.005)
    assert [level.name for level in new.memory] == ["vmem", "cmem", "hbm"]
    assert [level.name for level in old.memory] == ["vmem", "hbm"]


@pytest.mark.parametrize("name", ARRAYS)
def test_a_tpu_peak_is_its_arrays_times_its_clock(name: str) -> None:
    cores, arrays, size, clock = ARRAYS[name]
    found = platform(name)
    assert found.matrix.units == cores * arrays
    assert found.matrix.peak["bf16"] == pytest.approx(cores * arrays * 2 * size**2 * clock * 1e9, rel=0.01)


@pytest.mark.parametrize("name", TPUS)
def test_a_tpu_feeds_its_arrays_22_times_faster_than_its_hbm(name: str) -> None:
    vmem, hbm = platform(name).memory[0], platform(name).main_memory
    assert vmem.bandwidth / hbm.bandwidth == pytest.approx(22, rel=1e-6)


@pytest.mark.parametrize("name", GPUS)
def test_a_gpu_peak_is_its_tensor_cores_times_their_clock(name: str) -> None:
    rate, clock = TENSOR[name]
    found = platform(name)
    assert found.matrix.peak["fp16"] == pytest.approx(found.matrix.units * rate * clock * 1e9, rel=0.012)


@pytest.mark.parametrize("name", GPUS)
def test_a_gpu_computes_half_as_fast_at_twice_the_width(name: str) -> None:
    peak = platform(name).matrix.peak
    assert "fp32" not in peak
    if "tf32" in peak:
        assert peak["fp16"] == pytest.approx(2 * peak["tf32"], rel=0.02)
        assert peak["bf16"] == peak["fp16"]
    if "fp8" in peak:
        assert peak["fp8"] == pytest.approx(2 * peak["fp16"], rel=0.005)


def test_faults_of_other_tables_are_not_copied() -> None:
    assert platform("l4").main_memory.bandwidth == 300e9  # not the H100's 3350
    assert platform("h100").matrix.peak["fp16"] < 1000e12  # not the 1979 with sparsity
    assert platform("rtx-3090").matrix.peak["fp16"] == 71e12  # not the 142 that accumulate in fp16
    assert set(platform("v100").matrix.peak) == {"fp16", "int8"}  # neither bf16 nor tf32


@pytest.mark.parametrize(("name", "seen"), [("h200", 769e12), ("a100", 267e12), ("h100", 792e12)])
def test_the_cache_lets_large_products_reach_what_was_measured(name: str, seen: float) -> None:
    """Reading a product's tiles through L2 must not be slower than the products that people have timed."""
    found = platform(name)
    assert found.matrix.peak["bf16"] * found.matrix.achievable == pytest.approx(seen, rel=0.03)
    bytes_a_flop = min((rows + columns) / (rows * columns) for rows, columns in found.matrix.tiles)  # two bytes each
    assert seen * bytes_a_flop <= found.memory[0].bandwidth * found.memory[0].achievable


@pytest.mark.parametrize("name", ["x86", "core-i9-10940x"])
def test_a_processor_multiplies_on_its_vector_units(name: str) -> None:
    found = platform(name)
    assert found.matrix.peak["fp32"] == found.vector.peak["fp32"]
    assert found.matrix.peak["int8"] == 4 * found.matrix.peak["fp32"]
    assert all(rows * columns <= 28 * 16 for rows, columns in found.matrix.tiles)  # of 32 registers of 16 values


def test_an_unknown_name_is_met_with_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="'a100'"):
        platform("a10")


# --- files that break a rule ------------------------------------------------------------------------------------------

SILENT = {"achievable", "channels", "program", "library", "reorder", "page"}
"""Keys with a default that says nothing."""

BREAKS = st.sampled_from(["no number", -1.0, float("nan"), float("inf"), [], {"odd": 1}, None])


@given(name=st.sampled_from(["tpu-v4i", "h200", "x86"]), break_to=BREAKS, data=st.data())
def test_one_broken_key_is_named(name: str, break_to: object, data: st.DataObject) -> None:
    """Whatever value is put in the place of a number, or the number taken out: the error names file and key."""
    whole = plain(name)
    numeric = [way for way in paths(whole) if way[0] != "sources" and isinstance(_at(whole, way), int | float)]
    way = data.draw(st.sampled_from([w for w in numeric if w[-1] != "keeps" and "tiles" not in w]))
    holder = _at(whole, way[:-1])
    if break_to is None:
        del holder[way[-1]]
        if way[-1] in SILENT or "peak" in way or "energy" in way:
            return  # a default or a precision less: no fault of the file, or a source that is left over
    else:
        holder[way[-1]] = break_to
    with pytest.raises(PlatformFileError) as caught:
        parse_platform(tomli_w.dumps(whole), "mine.toml")
    text = str(caught.value)
    table = whole["memory"][way[1]]["name"] if way[0] == "memory" else str(way[0])
    assert text.startswith("mine.toml")
    assert table in text or f"memory[{way[1]}]" in text
    assert str(way[-1]) in text or str(way[-2]) in text


def _at(data: Any, way: tuple[str | int, ...]) -> Any:
    for step in way:
        data = data[step]
    return data


def _levels_swapped(data: dict[str, Any]) -> None:
    data["memory"].reverse()


@pytest.mark.parametrize(
    ("break_it", "key", "rule"),
    [
        (_levels_swapped, "l2.capacity", "capacity must not fall"),
        (lambda d: d["memory"][0].update(bandwidth=1e9), "hbm.bandwidth", "bandwidth must not rise"),
        (lambda d: d["memory"][0].update(name="hbm"), "memory[1].name", "a name of its own"),
        (lambda d: d["memory"][0].update(name="launch"), "memory[0].name", "a name of its own"),
        (lambda d: d.update(precision="fp8", name="mine"), "precision", "must have a peak"),
        (lambda d: d["vector"].update(peak={"fp16": 1e12}), "vector.peak", "a peak in fp32"),
        (lambda d: d["sources"].pop("hbm.bandwidth"), "hbm.bandwidth", "every number needs a source"),
        (lambda d: d["sources"].update({"hbm.bandwidth": " "}), "hbm.bandwidth", "every number needs a source"),
        (lambda d: d["sources"].update({"hmb.bandwidth": "x"}), "sources.hmb.bandwidth", "must belong to a number"),
        (lambda d: d.update(aliases=["a100"]), "aliases", "must differ"),
        (lambda d: d.update(speed=1), "", "unknown field `speed`"),
        (lambda d: d["matrix"].update(units=0), "matrix.units", ">= 1"),
        (lambda d: d["matrix"].update(tiles=[]), "matrix.tiles", "length >= 1"),
    ],
)
def test_rules_beyond_types_are_checked(break_it: Any, key: str, rule: str) -> None:
    whole = plain("a100")
    break_it(whole)
    with pytest.raises(PlatformFileError, match=re.escape(rule)) as caught:
        parse_platform(tomli_w.dumps(whole), "mine.toml")
    assert key in caught.value.where
    assert "mine.toml" in caught.value.where


def test_a_source_for_a_table_covers_the_keys_below_it_and_the_nearest_one_wins() -> None:
    whole = plain("a100")
    whole["sources"] = {"matrix": "a", "matrix.peak.int8": "b", "vector": "c", "l2": "d", "hbm": "e", "launch": "f"}
    whole["sources"]["energy"] = "g"
    found = parse_platform(tomli_w.dumps(whole), "mine.toml")
    assert source_of(found, "matrix.peak.bf16") == "a"
    assert source_of(found, "matrix.peak.int8") == "b"
    assert source_of(found, "hbm.capacity") == "e"


@pytest.mark.parametrize("text", ["name = ", "\xff", ""])
def test_text_that_is_no_platform_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(PlatformFileError, match=re.escape(str(file))):
        platform(file)
    with pytest.raises(PlatformFileError, match=r"none\.toml"):
        platform(str(tmp_path / "none.toml"))


def test_a_users_folder_adds_platforms_but_may_not_take_a_name(tmp_path: Path) -> None:
    mine = plain("t4") | {"name": "mine", "aliases": ["own"]}
    (tmp_path / "mine.toml").write_text(tomli_w.dumps(mine), encoding="utf-8")
    assert platform("own", [tmp_path]).name == "mine"
    assert set(platform_names([tmp_path])) == {*NAMES, "mine"}
    (tmp_path / "more.toml").write_text(tomli_w.dumps(mine | {"name": "more", "aliases": ["cpu"]}), encoding="utf-8")
    with pytest.raises(PlatformFileError, match=r"x86\.toml has this one.*'cpu'"):
        platform("own", [tmp_path])
    with pytest.raises(SettingError, match="must exist"):
        platform_names([tmp_path / "nowhere"])


# --- what-if ----------------------------------------------------------------------------------------------------------


@given(name=st.sampled_from(NAMES), data=st.data(), factor=st.sampled_from([2, 4, 1024]))
def test_a_factor_and_its_inverse_change_nothing(name: str, data: st.DataObject, factor: int) -> None:
    before = platform(name)
    key = data.draw(st.sampled_from(sorted(numbers(before))))
    up, down = {key: f"{factor}x"}, {key: f"{1 / factor}x"}
    try:
        there = set_values(before, up)
    except SettingError:  # above one, or past the next memory level: then nothing was changed either
        assert numbers(before) == numbers(platform(name))
        return
    assert numbers(there)[key] == factor * numbers(before)[key]
    assert numbers(set_values(there, down)) == numbers(before)
    assert there.name == name
    assert f"{key} {factor}x" in there.notes
    assert source_of(there, key).startswith(f"what-if: {factor}x")
    assert parse_platform(to_toml(there), "what-if") == there


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("hbm.bandwidth", "900GB/s", 900e9), ("hbm.bandwidth", "2 TB/s", 2e12), ("hbm.bandwidth", "1.2e12", 1.2e12),
        ("hbm.bandwidth", "+10%", 2039e9 * 1.1), ("hbm.bandwidth", "-50%", 2039e9 / 2), ("l2.capacity", "64MiB", 2**26),
        ("l2.capacity", "50MB", 50e6), ("matrix.peak.bf16", "400TFLOP/s", 4e14), ("matrix.peak.int8", ".5PFLOPS", 5e14),
        ("matrix.units", "54", 54), ("matrix.units", "0.25x", 27), ("vector.peak.fp32", "+100%", 39e12),
        ("vector.special", "3T/s", 3e12), ("launch.kernel", "3us", 3e-6), ("launch.kernel", "0x", 0),
        ("launch.eager", "1.5 µs", 1.5e-6), ("hbm.achievable", "95%", 0.95), ("hbm.achievable", "-10%", 0.81),
        ("energy.limit", "0.3kW", 300), ("energy.byte", "40pJ/B", 40e-12),
    ],
)  # fmt: skip
def test_values_come_with_units_factors_and_percentages(key: str, text: str, value: float) -> None:
    changed = set_values(platform("a100"), {key: text})
    assert numbers(changed)[key] == pytest.approx(value, rel=1e-12)
    others = numbers(platform("a100")) | {key: numbers(changed)[key]}
    assert numbers(changed) == others


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("hbm.bandwidth", "fast"), ("hbm.bandwidth", ""), ("hbm.bandwidth", "64MiB"), ("hbm.bandwidth", "10x"),
        ("hbm.bandwidth", "nan"), ("hbm.capacity", "1e999"), ("hbm.capacity", "-1"), ("hbm.capacity", "1MiB"),
        ("hbm.achievable", "110%"), ("matrix.units", "1.5"), ("matrix.units", "0x"), ("matrix.units", "1e999"),
        ("launch.kernel", "3GB/s"), ("matrix.peak.bf16", "0"), ("matrix.peak.bf16", "x"), ("energy.limit", "1 2W"),
    ],
)  # fmt: skip
def test_a_value_that_means_nothing_is_refused(key: str, text: str) -> None:
    with pytest.raises(SettingError) as caught:
        set_values(platform("a100"), {key: text})
    assert key in str(caught.value)


def test_changes_apply_together_and_an_unknown_key_is_met_with_all_keys() -> None:
    doubled = set_values(platform("h200"), {"hbm.bandwidth": "2x", "l2.bandwidth": "2x"})
    assert doubled.main_memory.bandwidth == 9.6e12
    with pytest.raises(UnknownNameError, match=r"Did you mean 'hbm\.bandwidth'.*launch\.kernel"):
        set_values(platform("h200"), {"hbm.bandwith": "2x"})


def test_shipped_platforms_cannot_be_spoilt_by_a_change() -> None:
    before = copy.deepcopy(platform("a100"))
    set_values(platform("a100"), {"matrix.peak.bf16": "2x", "hbm.capacity": "2x"})
    assert platform("a100") == before
    assert parse_platform(to_toml(before), "again") == before
