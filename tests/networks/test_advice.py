"""Advice: edits keep architectures valid, and what is predicted of one is what the edited network costs."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.hardware.catalogue import platform
from modelwright.hardware.model import estimate
from modelwright.networks.advice import LEAST, explain
from modelwright.networks.assemble import Pieces
from modelwright.networks.build import build
from modelwright.networks.catalogue import architecture
from modelwright.networks.edits import Edit, edits
from modelwright.networks.shapes import shapes
from modelwright.networks.trace import trace
from modelwright.networks.workloads import workload
from modelwright.records import Execution, Workload
from modelwright.records.advice import Explanation
from modelwright.records.architecture import (
    Architecture,
    Block,
    Bottleneck,
    ConvStem,
    MBConv,
    PatchStem,
    PoolHead,
    Stage,
    TokenHead,
    TokenStem,
    Transformer,
)

PLATFORMS = ("tpu-v3", "h200", "x86")
CHANNELS = st.sampled_from([8, 12, 16, 24, 40])


def traced(found: Architecture, *, channels_last: bool = False) -> Workload:
    dtype = torch.int64 if len(found.input) == 1 else torch.float32
    with torch.device("meta"):
        return trace(
            build(found), torch.empty((2, *found.input), dtype=dtype), name=found.name, channels_last=channels_last
        )


def of_images(*stages: Stage, side: int = 32, stem: ConvStem | None = None) -> Architecture:
    return Architecture("tiny", (3, side, side), 10, stem or ConvStem((8,)), stages, PoolHead(16))


def of_tokens(block: Transformer, *, tied: bool = False) -> Architecture:
    stem = TokenStem(50, block.width, 16)
    return Architecture("tiny", (16,), 50, stem, (Stage(block, 2),), TokenHead("none", tied=tied, bias=not tied))


def of_patches(block: Transformer) -> Architecture:
    return Architecture("tiny", (3, 16, 16), 10, PatchStem(4, block.width), (Stage(block, 2),), TokenHead())


SMALL = {
    "inverted": of_images(
        Stage(MBConv(8, 16, 8, 3, 1, squeeze=2)),
        Stage(MBConv(8, 48, 16, 5, 2, squeeze=2)),
        Stage(MBConv(16, 96, 16, 5, 1, squeeze=4), 2),
        Stage(MBConv(16, 64, 24, 3, 2, fused=True)),
    ),
    "reshaped": of_images(
        Stage(MBConv(8, 32, 32, 2, reshape="space-to-depth")),
        Stage(MBConv(32, 64, 16)),
        Stage(MBConv(16, 64, 16, reshape="space-to-batch")),
    ),
    "residual": of_images(
        Stage(Bottleneck(16, 24, 48, stride=2, groups=3, squeeze=4)),
        Stage(Bottleneck(48, 24, 48, groups=3, squeeze=4), 2),
        Stage(Bottleneck(48, 32, 64, stride=2, squeeze=8, radix=2, pooled=True)),
        stem=ConvStem((8, 16), pool=True),
        side=64,
    ),
    "image": of_patches(Transformer(32, 4, 4, 64)),
    "text": of_tokens(Transformer(32, 4, 2, 64, causal=True, norm="rms")),
    "tied": of_tokens(Transformer(32, 4, 4, 64, causal=True), tied=True),
}


@st.composite
def inverted(draw: st.DrawFn) -> Architecture:
    """Small networks of inverted bottlenecks in all their forms."""
    stages, channels = [], 8
    for _ in range(draw(st.integers(1, 3))):
        out, fused, kernel = draw(CHANNELS), draw(st.booleans()), draw(st.sampled_from([3, 5]))
        ratio, squeeze = draw(st.sampled_from([1, 4, 6])), draw(st.sampled_from([0, 2, 8]))
        activation = draw(st.sampled_from(["relu", "swish", "hard-swish"]))
        stride = draw(st.sampled_from([1, 2]))
        first = MBConv(channels, channels * ratio, out, kernel, stride, fused, squeeze, activation)
        stages.append(Stage(first))
        if draw(st.booleans()):
            rest = msgspec.structs.replace(first, in_channels=out, hidden=out * ratio, stride=1)
            stages.append(Stage(rest, draw(st.integers(1, 2))))
        channels = out
    return of_images(*stages, side=draw(st.sampled_from([32, 33, 40])))


@st.composite
def residual(draw: st.DrawFn) -> Architecture:
    """Small networks of residual bottlenecks in all their forms."""
    stages: list[Stage] = []
    channels = 16
    for _ in range(draw(st.integers(1, 2))):
        groups = draw(st.sampled_from([1, 2, 4]))
        hidden, out = groups * draw(st.sampled_from([4, 8, 34])), draw(CHANNELS)
        radix = draw(st.sampled_from([1, 2])) if groups == 1 else 1
        squeeze = draw(st.sampled_from([0, 4])) if radix == 1 else 4
        pooled, kernel = draw(st.booleans()), draw(st.sampled_from([3, 5]))
        block = Bottleneck(
            channels, hidden, out, kernel, 2, groups, squeeze, radix, pooled, draw(st.sampled_from(["relu", "swish"]))
        )
        stages += [Stage(block), Stage(msgspec.structs.replace(block, in_channels=out, stride=1))]
        channels = out
    return of_images(*stages, stem=ConvStem((8, 16), draw(st.sampled_from([3, 7]))))


@st.composite
def attentive(draw: st.DrawFn) -> Architecture:
    """Small transformers on images and text."""
    heads, side = draw(st.sampled_from([1, 4, 6])), draw(st.sampled_from([8, 32, 64, 100]))
    shared = draw(st.sampled_from([few for few in (1, 2, heads) if heads % few == 0]))
    norm, activation = draw(st.sampled_from(["layer", "rms"])), draw(st.sampled_from(["gelu", "gelu-tanh", "relu"]))
    block = Transformer(
        heads * side, heads, shared, draw(st.sampled_from([64, 100, 300])), activation=activation, norm=norm
    )
    if draw(st.booleans()):
        return of_patches(block)
    return of_tokens(msgspec.structs.replace(block, causal=True), tied=draw(st.booleans()))


ANY = st.one_of(inverted(), residual(), attentive())


def single(found: Architecture, name: str, word: str, place: str) -> Edit:
    (wanted,) = (edit for edit in edits(found, platform(name)) if (edit.word, edit.place) == (word, place))
    return wanted


@given(ANY, st.sampled_from(PLATFORMS))
def test_every_edit_leads_to_another_valid_architecture_that_says_what_changed(found: Architecture, name: str) -> None:
    offered = edits(found, platform(name))
    assert len({edit.architecture.name for edit in offered}) == len(offered)
    for edit in offered:
        shapes(edit.architecture)
        assert edit.changes
        assert msgspec.structs.replace(edit.architecture, name=found.name, source=found.source) != found
        assert (edit.architecture.input, edit.architecture.classes) == (found.input, found.classes)


@settings(max_examples=40)
@given(ANY, st.sampled_from(PLATFORMS))
def test_an_edit_that_was_made_is_not_offered_again(found: Architecture, name: str) -> None:
    for edit in edits(found, platform(name)):
        again = edits(edit.architecture, platform(name))
        assert not any(edit.changes == another.changes for another in again)


@settings(max_examples=15)
@given(ANY, st.sampled_from(PLATFORMS), st.data())
def test_every_edit_builds_and_runs(found: Architecture, name: str, data: st.DataObject) -> None:
    edit = data.draw(st.sampled_from(edits(found, platform(name)) or [None]))
    if edit is None:
        return
    dtype = torch.int64 if len(found.input) == 1 else torch.float32
    with torch.device("meta"):
        network = build(edit.architecture).eval()
        out = network(torch.empty((2, *found.input), dtype=dtype))
    assert out.shape[-1] == found.classes


def test_space_to_depth_and_fusing_lead_from_efficientnet_to_efficientnet_x() -> None:
    """But for activations and the widths of squeeze-and-excitation, which the paper sets too."""
    found = architecture("efficientnet-b0")
    for word, place in (("space-to-depth", "stages 0-1"), ("fuse", "stages 1-2"), ("fuse", "stages 3-4")):
        found = single(found, "tpu-v3", word, place).architecture

    def plain(block: Block) -> Block:
        return msgspec.structs.replace(block, activation="relu", squeeze_activation="relu", squeeze=0)

    ours, theirs = (
        [(plain(stage.block), stage.repeats) for stage in network.stages]
        for network in (found, architecture("efficientnet-x-b0"))
    )
    assert ours == theirs


def test_fusing_and_unfusing_lead_back() -> None:
    found = architecture("efficientnet-b0")
    there = single(found, "h200", "fuse", "stages 3-4").architecture
    back = single(there, "h200", "unfuse", "stages 3-4").architecture
    assert back.stages == found.stages


def test_sizes_are_rounded_to_what_the_matrix_units_take() -> None:
    found = architecture("gpt2-xl")
    narrowed = single(found, "tpu-v3", "width", "every stage").architecture
    assert [stage.block for stage in narrowed.stages] == [msgspec.structs.replace(
        found.stages[0].block, width=1536, heads=24, kv_heads=24, hidden=6144)]  # fmt: skip
    grouped = single(architecture("regnety-400mf"), "h200", "wider-groups", "stages 5-6").architecture
    assert {stage.block.hidden // stage.block.groups for stage in grouped.stages[5:7]} == {40}


@pytest.mark.parametrize(
    ("name", "channels_last"), [*((name, False) for name in SMALL), ("reshaped", True), ("residual", True)]
)
def test_a_workload_put_together_costs_what_one_traced_whole_costs(name: str, channels_last: bool) -> None:
    """From pieces that are traced alone, and from pieces cut out of the whole."""
    whole = traced(SMALL[name], channels_last=channels_last)
    alone, cut = Pieces(channels_last), Pieces(channels_last)
    cut.learn(SMALL[name], whole)
    known = len(cut.held)
    for made in (alone.assemble(SMALL[name]), cut.assemble(SMALL[name])):
        assert (made.parameters, made.macs, made.batch) == (whole.parameters, whole.macs, whole.batch)
        for where, execution in (("tpu-v3", "engine"), ("h200", "eager"), ("h200", "compiled"), ("x86", "eager")):
            assert costs(made, where, execution) == pytest.approx(costs(whole, where, execution), rel=1e-9)
    assert len(cut.held) == known, "nothing had to be traced again"


def costs(found: Workload, name: str, execution: Execution) -> list[float]:
    made = estimate(found, platform(name), batch=16, execution=execution)
    return [made.latency_s, made.flops, made.vector_flops, made.bytes]


@pytest.fixture(scope="module")
def kept(pytestconfig: pytest.Config) -> Path:
    return Path(str(pytestconfig.cache.mkdir("modelwright"))) / "modelwright" / "workloads"


@pytest.fixture(scope="module")
def on_tpu(kept: Path) -> Explanation:
    """EfficientNet-B0 on the accelerator of the study."""
    found, machine = workload("efficientnet-b0", cache=kept), platform("tpu-v3")
    return explain(architecture("efficientnet-b0"), found, machine, estimate(found, machine, batch=128), tries=6)


def structural(found: Explanation) -> Iterator[tuple[str, str, float]]:
    return ((advice.word, advice.place, advice.gain) for advice in found.advice if advice.kind == "architecture")


def test_on_a_tpu_depthwise_convolutions_hold_efficientnet_up(on_tpu: Explanation) -> None:
    top = on_tpu.bottlenecks[:4]
    assert {bottleneck.bound for bottleneck in top} == {"vector"}
    assert all("depthwise" in bottleneck.why for bottleneck in top)


def test_on_a_tpu_fusing_early_blocks_is_advised(on_tpu: Explanation) -> None:
    """As the authors of EfficientNet-X fuse them: stages 2 and 3 of the paper."""
    fused = {place for word, place, gain in structural(on_tpu) if word == "fuse" and gain > 0}
    assert {"stages 1-2", "stages 3-4"} <= fused


def test_on_a_tpu_space_to_depth_saves_time_at_the_start(kept: Path) -> None:
    found, machine = workload("efficientnet-b0", cache=kept), platform("tpu-v3")
    pieces = Pieces()
    pieces.learn(architecture("efficientnet-b0"), found)
    after = pieces.assemble(
        single(architecture("efficientnet-b0"), "tpu-v3", "space-to-depth", "stages 0-1").architecture
    )
    before_s, after_s = (estimate(network, machine, batch=128).latency_s for network in (found, after))
    assert after_s < (1 - LEAST) * before_s


def test_what_is_predicted_is_what_the_edited_network_costs(on_tpu: Explanation) -> None:
    best = on_tpu.advice[0]
    assert best.architecture
    direct = estimate(traced(best.architecture), platform("tpu-v3"), batch=128)
    assert best.after.latency_s == pytest.approx(direct.latency_s, rel=1e-9)
    assert best.gain == pytest.approx(1 - direct.latency_s / on_tpu.now.latency_s, rel=1e-9)
    assert best.after.params == direct.params
    assert best.after.macs == pytest.approx(direct.flops / 2 / 128)


def test_advice_is_in_order_of_gain_and_worth_telling(on_tpu: Explanation) -> None:
    for kind in ("architecture", "setting"):
        gains = [advice.gain for advice in on_tpu.advice if advice.kind == kind]
        assert gains == sorted(gains, reverse=True)
        assert all(gain >= LEAST for gain in gains)
    assert on_tpu.tried == 6 < on_tpu.considered


def test_one_sample_run_eagerly_on_a_large_gpu_waits_for_launches_and_wants_a_graph() -> None:
    found, machine = traced(SMALL["inverted"]), platform("h200")
    made = explain(SMALL["inverted"], found, machine, estimate(found, machine, batch=1, execution="eager"), tries=2)
    assert made.bottlenecks[0].bound == "launch"
    assert made.bottlenecks[0].saving_s > 0.9 * made.now.latency_s
    graph = next(advice for advice in made.advice if advice.changes[0].after == "graph")
    direct = estimate(found, machine, batch=1, execution="graph")
    assert graph.kind == "setting"
    assert graph.gain == pytest.approx(1 - direct.latency_s / made.now.latency_s)
    assert graph.gain > 0.5


def test_the_batch_that_is_advised_fits_and_is_nearly_the_best_a_sample() -> None:
    found, machine = traced(SMALL["residual"]), platform("h200")
    made = explain(None, found, machine, estimate(found, machine, batch=1), tries=0)
    (larger,) = (advice for advice in made.advice if advice.word == "batch")
    best = min(estimate(found, machine, batch=2**power).latency_s / 2**power for power in range(1, 13))
    assert larger.after.sample_s <= best / 0.95 * (1 + 1e-9)
    assert made.considered == 0
    assert all(advice.kind == "setting" for advice in made.advice)


def test_a_network_whose_images_end_as_one_pixel_gets_advice_too() -> None:
    narrow = MBConv(8, 16, 8, 3, 1, fused=True)
    wide = MBConv(8, 16, 16, 3, 2, fused=True)
    found = of_images(Stage(narrow), Stage(wide), Stage(MBConv(16, 16, 16, 3, 2, fused=True)), side=8)
    on = platform("x86")
    told = explain(found, traced(found), on, estimate(traced(found), on, batch=1))
    assert told.advice
