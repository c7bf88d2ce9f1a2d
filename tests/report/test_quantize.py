"""The page of a quantization: every number is its record's, and every end that one can come to has a page."""

import html
import itertools
import math
import random
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.records import (
    Device,
    Histogram,
    Kernel,
    LayerNumbers,
    Quantization,
    QuantizationFindings,
    QuantizedCandidate,
    Sensitivity,
    from_toml,
)
from modelwright.report import quantize_page, quantize_table
from modelwright.report.decibels import decibels, points
from modelwright.report.histograms import beyond_words, by_noise, histogram_charts, layers_table
from modelwright.report.kernels import float_table, kernels_table
from modelwright.report.markup import Chart
from modelwright.report.outline import gathered, outline
from modelwright.report.quantity import percent, quantity, ratio
from modelwright.report.sensitivity import apart, drop_chart, sensitivity_chart, sets_table
from modelwright.report.tradeoff import accuracy_chart, size_chart

replace = msgspec.structs.replace

DEVICE = Device("cpu", "AMD EPYC 9B14", 1, {"torch": "2.13.0", "torchao": "0.18.0", "openvino": "2026.4"}, "0123abc")
LAYERS = [
    "features.0.0",
    *(f"features.{block}.conv.{part}" for block in range(1, 14) for part in ("0.0", "1.0", "2")),
    "classifier.1",
]


def histogram(draw: random.Random, width: float, bins: int = 128, relu: bool = False) -> Histogram:
    counts = [0] * bins
    for _ in range(3000):
        value = draw.gauss(0, width / 4)
        value = max(value, 0.0) if relu else value
        place = int((value + width) / (2 * width) * bins)
        counts[min(max(place, 0), bins - 1)] += 1
    return Histogram(-width, width, tuple(counts))


def layer(name: str, draw: random.Random) -> LayerNumbers:
    kind = "linear" if name.startswith("classifier") else "depthwise" if ".1.0" in name else "conv"
    wide, narrow = draw.uniform(2, 9), draw.uniform(0.2, 1.4)
    return LayerNumbers(
        layer=name,
        kind=kind,
        macs=draw.randrange(10**5, 10**8),
        inputs=histogram(draw, wide, relu=True),
        inputs_after=histogram(draw, wide * 0.7, relu=True),
        inputs_sqnr_db=draw.uniform(14, 40),
        saturation=draw.choice([0.0, 0.00031, 0.012]),
        weights=histogram(draw, narrow),
        weights_after=histogram(draw, narrow),
        weights_sqnr_db=draw.uniform(25, 44),
    )


def sensitivity(layers: tuple[str, ...], noise: dict[str, float]) -> Sensitivity:
    """Of layers whose noise just adds up, beside logits of power 10."""
    mse = sum(noise[name] for name in layers)
    return Sensitivity(
        layers, 10 * math.log10(10 / mse), mse, 0.7044 - 0.1 * mse, (0.05 * mse - 0.001, 0.2 * mse + 0.001)
    )


def candidate(name: str, **fields: Any) -> QuantizedCandidate:
    return QuantizedCandidate(name, fields.pop("recipe", Quantization()), **fields)


CANDIDATES = (
    candidate("fp32", recipe=Quantization("float"), latency_s=0.00441, spread=0.011, accuracy=0.7044, drop=0.0,
              drop_interval=(0.0, 0.0), integer_share=0.0, size_bytes=14_100_000, seconds=9.0),
    candidate("bf16", recipe=Quantization("float", floats="bf16"), latency_s=0.00262, spread=0.018, accuracy=0.7041,
              drop=0.0003, drop_interval=(-0.0012, 0.0019), sqnr_db=41.2, integer_share=0.0, size_bytes=7_100_000,
              seconds=12.0),
    candidate("int8", latency_s=0.00201, spread=0.009, accuracy=0.6921, drop=0.0123, drop_interval=(0.008, 0.0166),
              sqnr_db=17.9, integer_share=1.0, size_bytes=3_700_000, seconds=61.0),
    candidate("int8, equalized", recipe=Quantization(techniques=("equalization", "bias-correction")), latency_s=0.00203,
              spread=0.013, accuracy=0.6998, drop=0.0046, drop_interval=(0.0009, 0.0081), sqnr_db=22.4,
              integer_share=1.0, size_bytes=3_700_000, seconds=95.0),
    candidate("int8 and bf16", recipe=Quantization(floats="bf16", layers={"features.0.0": "bf16",
              "features.1.conv.0.0": "bf16", "classifier.1": "fp32"}, calibration="mse"), latency_s=0.00214,
              spread=0.012, accuracy=0.7029, drop=0.0015, drop_interval=(-0.0014, 0.0042), sqnr_db=27.5,
              integer_share=0.927, size_bytes=4_300_000, seconds=140.0, chosen=True,
              notes=("Three layers stay in float.",)),
    candidate("dynamic int8", recipe=Quantization("dynamic"), latency_s=0.0243, spread=0.04, accuracy=0.7035,
              drop=0.0009, drop_interval=(-0.001, 0.003), sqnr_db=31.0, integer_share=0.98, size_bytes=3_700_000),
    candidate("int8, trained", recipe=Quantization("qat"), state="failed", seconds=33.0,
              reason="the training loop needs labels, which these data have none of"),
)  # fmt: skip


def made_up() -> QuantizationFindings:
    """A quantization that ended well, made up: seven candidates of which one failed, 41 layers."""
    draw = random.Random(7)
    noise = {name: 10 ** draw.uniform(-4, -1.5) for name in LAYERS}
    ranked = sorted(LAYERS, key=noise.__getitem__)
    single = [sensitivity((name,), noise) for name in LAYERS]
    growing = [sensitivity(tuple(ranked[:count]), noise) for count in range(2, len(ranked) + 1, 3)]
    pairs = [sensitivity(pair, noise) for pair in itertools.pairwise(ranked[-6:])]
    kernels = [
        Kernel(f"{name}/conv", "Convolution", "bf16" if place < 3 else "u8", True, place >= 3)
        for place, name in enumerate(LAYERS)
    ]
    return QuantizationFindings(
        model="MobileNetV2",
        target="openvino",
        data="imagenette",
        calibrated=512,
        judged=3925,
        batch=1,
        candidates=CANDIDATES,
        sensitivities=(*single, *growing, *pairs),
        layers=tuple(layer(name, draw) for name in LAYERS),
        kernels=(*kernels, *(Kernel(f"reorder_{number}", "Reorder", "f32", False, False) for number in range(5))),
        max_drop=0.005,
        verdict="int8 and bf16 is 2.06x as fast as fp32 and loses 0.15 points of accuracy (-0.14 to 0.42), within the "
        "0.50 that were allowed.",
        device=DEVICE,
        seconds=1240.0,
        notes=("A loop in the model's head could not be captured; it stays as it is.",),
    )


@pytest.fixture(scope="module")
def found() -> QuantizationFindings:
    return made_up()


def words(page: str) -> str:
    """What a reader reads: no tags, no scripts, no style."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", bare)).split())


def drawn(chart: Chart | None) -> dict[str, list[float]]:
    """Where each point with a card stands, by the card's heading."""
    assert chart is not None
    points_of = [point for one in chart.option["series"] for point in one["data"] if point.get("card")]
    return {point["card"][0]: point["value"] for point in points_of}


def test_every_candidate_stands_in_the_table_with_its_own_numbers(found: QuantizationFindings) -> None:
    data, page = quantize_table(found), words(quantize_page(found))
    fp32 = found.candidates[0].latency_s or 0.0
    for one, row in zip(found.candidates, data.rows, strict=True):
        cells = dict(zip(data.headings, row, strict=True))
        assert cells["candidate"] == one.name
        assert " ".join(cell for cell in row if cell) in page
        if one.state == "failed":
            assert cells["outcome"] == f"failed: {one.reason}"
            assert {cells[heading] for heading in data.headings[1:-1]} == {"-"}
            continue
        assert one.latency_s
        assert cells[">accuracy"] == percent(one.accuracy or 0)
        assert cells[">drop, points"] == points(one.drop, one.drop_interval)
        assert cells[">latency"] == quantity(one.latency_s, "s")
        assert cells[">as fast as fp32"] == ratio(fp32 / one.latency_s)
        assert cells[">SQNR"] == (decibels(one.sqnr_db) or "-")
        assert cells[">integer"] == percent(one.integer_share or 0)
        assert cells[">size"] == quantity(one.size_bytes or 0, "B")
        assert cells["outcome"] == ("chosen" if one.chosen else "")


def test_the_verdict_the_notes_and_how_it_was_got_are_read_first_and_last(found: QuantizationFindings) -> None:
    page = words(quantize_page(found, made_by="the test"))
    assert page.index(found.verdict) < page.index("Candidates")
    for note in (*found.notes, *(f"{one.name}: {note}" for one in found.candidates for note in one.notes)):
        assert note in page
    got = page[page.index("How this was got") :]
    for told in ("512 samples of imagenette", "3925 samples of imagenette", "target openvino, batch 1", DEVICE.name,
                 "torchao 0.18.0", "20 min 40 s", "the test"):  # fmt: skip
        assert told in got


def test_candidates_are_drawn_where_their_numbers_say(found: QuantizationFindings) -> None:
    finished = [one for one in found.candidates if one.state == "finished"]
    assert drawn(accuracy_chart(found)) == {one.name: [one.latency_s, one.accuracy] for one in finished}
    assert drawn(size_chart(found)) == {one.name: [one.latency_s, one.size_bytes] for one in finished}
    chart = accuracy_chart(found)
    assert chart is not None
    (chosen,) = (one["data"] for one in chart.option["series"] if one["name"] == "chosen")
    assert [point["card"][0] for point in chosen] == ["int8 and bf16"]


def test_intervals_of_drops_stand_below_the_float_networks_accuracy(found: QuantizationFindings) -> None:
    chart, base = accuracy_chart(found), found.candidates[0].accuracy
    assert chart is not None
    assert base is not None
    bars = [one["data"] for one in chart.option["series"] if one["name"] == "95 % interval of the drop"]
    spans = [sorted(base - end["value"][1] for end in bar) for bar in bars]
    wanted = [sorted(one.drop_interval) for one in found.candidates if one.drop_interval]
    assert spans == [pytest.approx(span) for span in wanted]


def test_without_labels_the_noise_is_drawn_and_no_accuracy_is_told(found: QuantizationFindings) -> None:
    blind = replace(
        found,
        candidates=tuple(replace(one, accuracy=None, drop=None, drop_interval=None) for one in found.candidates),
        sensitivities=tuple(replace(one, accuracy=None, drop_interval=None) for one in found.sensitivities),
    )
    noisy = [one for one in blind.candidates if one.sqnr_db is not None]
    assert drawn(accuracy_chart(blind)) == {one.name: [one.latency_s, one.sqnr_db] for one in noisy}
    assert drop_chart(blind) is None
    assert {row[1] for row in quantize_table(blind).rows} == {"-"}


def test_layers_are_ranked_by_noise_and_lose_what_the_record_says(found: QuantizationFindings) -> None:
    single = [one for one in found.sensitivities if len(one.layers) == 1]
    chart, base = sensitivity_chart(found), found.candidates[0].accuracy
    assert chart is not None
    assert base is not None
    ranked = sorted(single, key=lambda one: one.sqnr_db)
    assert [row[0] for row in chart.data.rows] == [one.layers[0] for one in ranked]
    assert [bar["value"] for bar in chart.option["series"][0]["data"]] == [one.sqnr_db for one in ranked[:30]]
    lost = {one.layers[0]: points(base - (one.accuracy or 0), one.drop_interval) for one in single}
    assert {row[0]: row[4] for row in chart.data.rows} == lost
    chart = drop_chart(found)
    assert chart is not None
    assert {row[0]: row[2] for row in chart.data.rows} == lost


def test_layers_whose_noise_just_adds_up_have_a_ratio_of_one(found: QuantizationFindings) -> None:
    data = sets_table(found)
    assert len(data.rows) == 5
    assert {row[-1] for row in data.rows} == {"1.00x"}


LETTERS = st.sets(st.sampled_from("abcdef"), min_size=1).map(lambda names: tuple(sorted(names)))


@given(st.lists(LETTERS, max_size=12, unique=True))
def test_each_sensitivity_is_told_once_and_growing_sets_hold_one_another(sets: list[tuple[str, ...]]) -> None:
    parts = apart([Sensitivity(names, 30.0, 0.1) for names in sets])
    grown = [one.layers for one in parts.growing if len(one.layers) > 1]
    told = [*(one.layers for one in (*parts.single, *parts.other)), *grown]
    assert sorted(told) == sorted(sets)
    assert all(set(one.layers) < set(other.layers) for one, other in itertools.pairwise(parts.growing))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=300).filter(any), st.integers(1, 80))
def test_gathering_bins_loses_no_number_and_a_density_has_the_area_one(counts: list[int], most: int) -> None:
    whole = Histogram(-1.5, 2.5, tuple(counts))
    few = gathered(whole, most)
    assert len(few.counts) <= most
    assert sum(few.counts) == sum(counts)
    assert (few.high - few.low) / len(few.counts) * len(counts) == pytest.approx(4.0 * math.ceil(len(counts) / most))
    line, end = outline(whole, most)
    edges = [*(x for x, _ in line), end]
    area = sum(height * (b - a) for (_, height), (a, b) in zip(line, itertools.pairwise(edges), strict=True))
    assert area == pytest.approx(1.0)


def test_histograms_are_those_of_the_noisiest_layers_and_all_others_are_sketched(found: QuantizationFindings) -> None:
    page = quantize_page(found)
    ranked = sorted(found.layers, key=lambda one: min(one.inputs_sqnr_db, one.weights_sqnr_db or math.inf))
    assert by_noise(found.layers) == ranked
    titles = re.findall(r"<h3>(.*?)</h3>", page)
    assert [title for title in titles if title.endswith(": inputs")] == [f"{one.layer}: inputs" for one in ranked[:6]]
    assert [title for title in titles if title in LAYERS] == [one.layer for one in ranked[6:]]
    chart = histogram_charts(ranked[0])[1]
    told = {kind: sum(int(row[3]) for row in chart.data.rows if row[0] == kind) for kind in ("before", "after")}
    assert told == {"before": sum(ranked[0].inputs.counts), "after": sum(ranked[0].inputs_after.counts)}
    assert f"{beyond_words(ranked[0].saturation)} of the inputs" in chart.note


def test_every_layer_has_its_row(found: QuantizationFindings) -> None:
    data = layers_table(found)
    kept = {row[0]: row[3] for row in data.rows if row[3]}
    assert [row[0] for row in data.rows] == LAYERS
    assert kept == found.candidates[4].recipe.layers
    for one, row in zip(found.layers, data.rows, strict=True):
        assert row[5:8] == (decibels(one.weights_sqnr_db), decibels(one.inputs_sqnr_db), beyond_words(one.saturation))


def test_kernels_are_counted_once_and_those_that_fell_back_are_named(found: QuantizationFindings) -> None:
    assert sum(int(row[-1]) for row in kernels_table(found.kernels).rows) == len(found.kernels)
    page = words(quantize_page(found))
    assert "38 of 41 convolutions and products ran in whole numbers" in page
    fallen = [one for one in found.kernels if one.weighted and not one.integer]
    assert float_table(found.kernels).rows == tuple((one.name, "Convolution", "bf16") for one in fallen)
    assert all(f"{one.name} Convolution bf16" in page for one in fallen)


def test_the_recipe_on_the_page_makes_the_chosen_candidate_again(found: QuantizationFindings) -> None:
    (text,) = re.findall(r"<pre[^>]*>(.*?)</pre>", quantize_page(found), flags=re.DOTALL)
    assert from_toml(html.unescape(text), Quantization) == found.candidates[4].recipe


def test_markup_in_names_stays_text_and_nothing_is_loaded(found: QuantizationFindings) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    smuggled = {"layers": {evil: "fp32"}, "techniques": (evil,), "calibration": evil}
    tried = [replace(one, recipe=replace(one.recipe, **smuggled)) for one in CANDIDATES]
    bad = replace(
        found,
        model=evil,
        target=evil,
        data=evil,
        verdict=evil,
        notes=(evil,),
        candidates=tuple(replace(one, name=evil, reason=evil, notes=(evil,)) for one in tried),
        layers=tuple(replace(one, layer=evil, kind=evil) for one in found.layers),
        kernels=tuple(replace(one, name=evil, operator=evil, numbers=evil) for one in found.kernels),
        sensitivities=tuple(replace(s, layers=tuple(evil + one for one in s.layers)) for s in found.sensitivities),
    )  # fmt: skip
    page, plain = quantize_page(bad), quantize_page(found)
    for tag in ("<script", "</script>", "<svg", "<figure", "<img"):
        assert page.count(tag) == plain.count(tag)
    assert evil in html.unescape(page)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"candidates": ()}, "No candidate was tried."),
        ({"candidates": CANDIDATES[-1:]}, "1 candidate, 0 finished"),
        ({"candidates": CANDIDATES[:1]}, "None of them was chosen."),
        ({"candidates": CANDIDATES[1:]}, "int8 and bf16"),
        ({"verdict": ""}, "No verdict was reached."),
        ({"data": ""}, "data without a name"),
        ({"sensitivities": (), "layers": (), "kernels": (), "notes": ()}, "How this was got"),
        (
            {"layers": (layer("only", random.Random(1)),), "sensitivities": (Sensitivity(("only",), 9.0, 0.1),)},
            "All layers",
        ),
    ],
)
def test_every_end_has_its_page(changed: dict[str, Any], told: str, found: QuantizationFindings) -> None:
    assert told in words(quantize_page(replace(found, **changed)))


ODD = st.sampled_from([None, 0.0, 1e-9, 0.5, 1.0])
DECIBELS = st.sampled_from([-3.0, 0.0, 31.4, math.inf, -math.inf, math.nan])
INTERVALS = st.none() | st.tuples(st.sampled_from([-0.2, 0.0]), st.sampled_from([0.0, 1.2]))
TRIED = st.builds(
    QuantizedCandidate,
    name=st.text(max_size=80),
    recipe=st.builds(Quantization, kind=st.sampled_from(["float", "static"]), floats=st.sampled_from(["fp32", "bf16"])),
    state=st.sampled_from(["finished", "failed"]),
    latency_s=ODD,
    accuracy=ODD,
    drop=ODD,
    drop_interval=INTERVALS,
    sqnr_db=st.none() | DECIBELS,
    integer_share=ODD,
    size_bytes=st.none() | st.integers(0, 10**12),
    chosen=st.booleans(),
)
SETS = st.builds(
    Sensitivity,
    layers=st.lists(st.text(max_size=3), min_size=1, max_size=3, unique=True).map(tuple),
    sqnr_db=DECIBELS,
    mse=st.sampled_from([0.0, 1e-12, 0.1, math.inf]),
    accuracy=ODD,
    drop_interval=INTERVALS,
)
BINS = st.builds(
    Histogram,
    low=st.sampled_from([-1.0, 0.0, -1e-9]),
    high=st.sampled_from([0.0, 1e-9, 3.0, math.inf]),
    counts=st.lists(st.integers(0, 3), max_size=80).map(tuple),
)
NUMBERS = st.builds(
    LayerNumbers,
    layer=st.text(max_size=5),
    kind=st.just("conv"),
    macs=st.integers(0, 10**9),
    inputs=BINS,
    inputs_after=BINS,
    inputs_sqnr_db=DECIBELS,
    saturation=st.sampled_from([0.0, 1e-7, 1.0]),
    weights=st.none() | BINS,
    weights_after=st.none() | BINS,
    weights_sqnr_db=st.none() | DECIBELS,
)


@settings(max_examples=60, deadline=None)
@given(tried=st.lists(TRIED, max_size=4), sets=st.lists(SETS, max_size=8), layers=st.lists(NUMBERS, max_size=8))
def test_whatever_a_quantization_ends_with_has_a_page(
    found: QuantizationFindings, tried: list[QuantizedCandidate], sets: list[Sensitivity], layers: list[LayerNumbers]
) -> None:
    odd = replace(found, candidates=tuple(tried), sensitivities=tuple(sets), layers=tuple(layers), kernels=())
    assert "How this was got" in quantize_page(odd)
    assert len(quantize_table(odd).rows) == len(tried)
