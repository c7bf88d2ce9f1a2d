"""Sensitivity by switching: what converting each layer by itself gives, without converting."""

import msgspec
import pytest
import torch
from torch import fx, nn

from modelwright.quantize.graph import capture, layers
from modelwright.quantize.judging import Judge, Samples
from modelwright.quantize.prepare import Prepared, calibrate, convert, prepare
from modelwright.quantize.profile import Profile
from modelwright.quantize.sensitivity import cumulative, one_at_a_time, pairs, sensitivities
from modelwright.records import WEIGHTS, Quantization

PROFILE = Profile("plain", adds="none")
"""Sums stay in float; else a layer that is converted alone quantizes the sum that it is part of, too."""
PIXELS = torch.randn(48, 1, 8, 8, generator=torch.Generator().manual_seed(0))
RECIPE = Quantization(calibration="minmax", weights=msgspec.structs.replace(WEIGHTS, bits=4))


@pytest.fixture(scope="module")
def graph(learned: nn.Module) -> fx.GraphModule:
    return capture(learned, (PIXELS[:2],))


@pytest.fixture(scope="module")
def judge(graph: fx.GraphModule) -> Judge:
    return Judge.of(graph, Samples(PIXELS))


def ready(graph: fx.GraphModule, recipe: Quantization = RECIPE, *, share: bool = False) -> Prepared:
    prepared = prepare(graph, recipe, PROFILE, share=share)
    calibrate(prepared, [(PIXELS,)])
    return prepared


def only(graph: fx.GraphModule, names: tuple[str, ...]) -> Quantization:
    others = [layer.name for layer in layers(graph) if layer.name not in names]
    return msgspec.structs.replace(RECIPE, layers=dict.fromkeys(others, "fp32"))


def test_switching_a_layer_on_is_as_good_as_converting_it_alone(graph: fx.GraphModule, judge: Judge) -> None:
    prepared = ready(graph)
    alone = one_at_a_time(prepared, judge)
    assert [one.layers for one in alone] == [("stem",), ("inner",), ("head",)]
    for one in (*alone, *pairs(prepared, judge, alone)):
        truth = judge(convert(ready(graph, only(graph, one.layers))))
        assert one.sqnr_db == pytest.approx(truth.sqnr_db, abs=0.1)
        assert one.mse == pytest.approx(truth.mse, rel=0.02)


def test_sets_grow_from_the_least_sensitive_to_all_of_them(graph: fx.GraphModule, judge: Judge) -> None:
    prepared = ready(graph)
    alone = one_at_a_time(prepared, judge)
    grown = cumulative(prepared, judge, alone)
    order = [one.layers[0] for one in sorted(alone, key=lambda one: one.mse)]
    assert [one.layers for one in grown] == [tuple(order[:2]), tuple(order)]
    assert grown[-1].mse == pytest.approx(judge(convert(ready(graph, share=True))).mse, rel=0.02)


def test_every_pair_of_the_worst_is_tried_and_noise_nearly_adds_up(graph: fx.GraphModule, judge: Judge) -> None:
    prepared = ready(graph)
    alone = {one.layers[0]: one.mse for one in one_at_a_time(prepared, judge)}
    two = pairs(prepared, judge, one_at_a_time(prepared, judge), most=3)
    assert {frozenset(one.layers) for one in two} == {
        frozenset(pair) for pair in (("stem", "inner"), ("stem", "head"), ("inner", "head"))
    }
    for one in two:
        assert one.mse == pytest.approx(sum(alone[name] for name in one.layers), rel=0.5)


def test_all_is_switched_on_afterwards_even_when_a_judge_fails(graph: fx.GraphModule, judge: Judge) -> None:
    prepared = ready(graph)
    whole = prepared.graph(PIXELS)
    assert sensitivities(prepared, judge, [()])[0].mse == 0
    assert torch.equal(prepared.graph(PIXELS), whole)

    def fails(network: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sensitivities(prepared, fails, [("stem",)])  # type: ignore[arg-type]
    assert torch.equal(prepared.graph(PIXELS), whole)


def test_progress_is_told_for_every_set(graph: fx.GraphModule, judge: Judge) -> None:
    told: list[tuple[int, int, str]] = []
    one_at_a_time(ready(graph), judge, lambda *step: told.append(step))
    assert told == [(0, 3, "stem"), (1, 3, "inner"), (2, 3, "head")]
