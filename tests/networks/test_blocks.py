"""Modules built from architectures: they learn, export, and compute what their records and papers say."""

from functools import cache
from itertools import pairwise

import msgspec
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from modelwright.networks.blocks.mbconv import MBConvBlock
from modelwright.networks.blocks.reshape import SpaceToDepth, batch_to_space, space_to_batch
from modelwright.networks.blocks.split_attention import SplitAttention
from modelwright.networks.blocks.squeeze_excite import SqueezeExcite
from modelwright.networks.blocks.stochastic_depth import StochasticDepth
from modelwright.networks.blocks.transformer import Attention
from modelwright.networks.build import build
from modelwright.networks.catalogue import architecture
from modelwright.networks.families.gpt import gpt
from modelwright.records.architecture import Architecture, MBConv, Transformer

replace = msgspec.structs.replace


@cache
def small(name: str) -> Architecture:
    """A named architecture at 64 pixels, or a sequence of 16 with a small vocabulary."""
    if name.startswith("gpt"):
        return gpt("gpt-tiny", 32, 4, 2, length=16, vocabulary=50, tied=name != "gpt-1b")
    return replace(architecture(name), input=(3, 64, 64), classes=10)


def samples(record: Architecture, count: int = 2, device: str = "cpu") -> torch.Tensor:
    if len(record.input) == 1:
        return torch.randint(record.classes, (count, *record.input), device=device)
    return torch.randn(count, *record.input, device=device)


FAMILIES = [
    "efficientnet-b0",
    "efficientnet-x-b0",
    "efficientnet-x-h-b3-tpu",
    "efficientnetv2-s",
    "mobilenetv3-large",
    "mobilenetv3-small",
    "resnet-50",
    "regnety-200mf",
    "resnest-50",
    "vit-ti-16",
    "gpt2-small",
    "gpt-1b",
]


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_finite_and_follow_each_sample_alone(name: str) -> None:
    torch.manual_seed(0)
    record = small(name)
    network = build(record).eval()
    x = samples(record, 3)
    with torch.no_grad():
        together, alone = network(x), network(x[1:2])
    assert together.shape == ((3, 16, 50) if name.startswith("gpt") else (3, 10))
    assert torch.isfinite(together).all()
    torch.testing.assert_close(together[1:2], alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_learns(name: str) -> None:
    """One step down the gradient lowers the loss on its own batch, and every parameter takes part."""
    torch.manual_seed(0)
    record = replace(small(name), dropout=0.0, survival=1.0)
    network = build(record).train()
    x = samples(record, 4)
    target = torch.randint(record.classes, (4,))

    def loss() -> torch.Tensor:
        logits = network(x)
        return nn.functional.cross_entropy(logits[:, -1] if logits.ndim == 3 else logits, target)

    before = loss()
    before.backward()
    assert [path for path, weight in network.named_parameters() if weight.grad is None] == []
    with torch.no_grad():
        norm = torch.cat([weight.grad.flatten() for weight in network.parameters()]).norm()
        for weight in network.parameters():
            weight -= 1e-3 * weight.grad / norm
        assert loss() < before


@pytest.mark.parametrize("name", ["efficientnet-x-b7-gpu", "gpt2-xl", "regnety-32gf"])
def test_building_on_meta_allocates_nothing(name: str) -> None:
    with torch.device("meta"):
        network = build(architecture(name))
    assert all(tensor.is_meta for tensor in [*network.parameters(), *network.buffers()])


@pytest.mark.parametrize("name", ["efficientnet-x-b0", "mobilenetv3-small", "resnest-50", "vit-ti-16", "gpt2-small"])
def test_a_network_exports_from_meta(name: str) -> None:
    record = small(name)
    with torch.device("meta"):
        network = build(record).eval()
        program = torch.export.export(network, (samples(record, 2, "meta"),), strict=False)
    assert len(program.state_dict) == len(network.state_dict())


def test_only_training_leaves_branches_out() -> None:
    torch.manual_seed(0)
    record = replace(small("vit-ti-16"), dropout=0.0, survival=0.2)
    x = samples(record)
    with torch.no_grad():
        network = build(record).eval()
        torch.testing.assert_close(network(x), network(x), rtol=0, atol=0)
        network.train()
        assert not torch.equal(network(x), network(x))
        certain = build(replace(record, survival=1.0)).train()
        torch.testing.assert_close(certain(x), certain(x), rtol=0, atol=0)


def test_survival_falls_linearly_from_certainty() -> None:
    record = architecture("efficientnet-b0")
    chances = [record.survival_of(position) for position in range(record.depth)]
    assert chances[0] == 1
    assert all(before > after for before, after in pairwise(chances))
    assert chances[-1] == pytest.approx(1 - 0.2 * 15 / 16)


def test_stochastic_depth_keeps_the_mean() -> None:
    torch.manual_seed(0)
    kept = StochasticDepth(0.8).train()(torch.ones(20_000, 1, 1, 1))
    assert set(kept.unique().tolist()) == {0.0, 1.25}
    assert kept.mean().item() == pytest.approx(1, abs=0.02)


def test_convolutions_start_with_the_variance_of_their_fan_out() -> None:
    torch.manual_seed(0)
    block = build(small("efficientnet-b0")).stages[9][0]
    dense, depthwise = block.expand.conv, block.spatial.conv
    assert dense.weight.std().item() == pytest.approx((2 / dense.out_channels) ** 0.5, rel=0.05)
    assert depthwise.weight.std().item() == pytest.approx((2 / 25) ** 0.5, rel=0.05)


# --- attention ------------------------------------------------------------------------------------------------------


def test_a_causal_network_does_not_look_ahead() -> None:
    torch.manual_seed(0)
    record = small("gpt2-small")
    network = build(record).eval()
    x = samples(record, 1)
    changed = x.clone()
    changed[0, 9] = (x[0, 9] + 1) % record.classes
    with torch.no_grad():
        difference = (network(x) - network(changed)).abs().amax(2)[0]
    assert difference[:9].max() == 0
    assert difference[9:].min() > 0


def test_a_tied_classifier_is_the_token_table() -> None:
    tied, untied = build(small("gpt2-small")), build(small("gpt-1b"))
    assert tied.head.classifier.weight is tied.stem.table.weight
    assert untied.head.classifier.weight is not untied.stem.table.weight


def test_shared_keys_are_full_attention_with_each_key_written_out() -> None:
    torch.manual_seed(0)
    shared = Attention(Transformer(width=32, heads=4, kv_heads=2, hidden=64))
    full = Attention(Transformer(width=32, heads=4, kv_heads=4, hidden=64))
    query, key, value = shared.qkv.weight.split([32, 16, 16])
    wide = [part.reshape(2, 8, 32).repeat_interleave(2, 0).reshape(32, 32) for part in (key, value)]
    with torch.no_grad():
        full.qkv.weight.copy_(torch.cat([query, *wide]))
        full.project.weight.copy_(shared.project.weight)
        x = torch.randn(2, 5, 32)
        torch.testing.assert_close(shared(x), full(x))


def test_split_attention_is_an_average_where_all_scores_are_equal() -> None:
    torch.manual_seed(0)
    record = architecture("resnest-50").stages[0].block
    layer = SplitAttention(record, 1, nn.BatchNorm2d).eval()
    nn.init.zeros_(layer.expand.weight)
    x = torch.randn(2, record.hidden, 7, 7)
    with torch.no_grad():
        first, second = layer.spatial(x).chunk(2, 1)
        torch.testing.assert_close(layer(x), (first + second) / 2)


# --- reshapes -------------------------------------------------------------------------------------------------------


def test_phases_come_back_as_the_image() -> None:
    x = torch.randn(3, 5, 6, 8)
    phases = space_to_batch(x)
    assert phases.shape == (12, 5, 3, 4)
    torch.testing.assert_close(phases[:3], x[:, :, ::2, ::2], rtol=0, atol=0)
    torch.testing.assert_close(batch_to_space(phases), x, rtol=0, atol=0)


def test_a_convolution_on_phases_is_a_dilated_convolution() -> None:
    torch.manual_seed(0)
    x, kernel = torch.randn(2, 4, 8, 12), torch.randn(6, 4, 3, 3)
    on_phases = batch_to_space(nn.functional.conv2d(space_to_batch(x), kernel, padding=1))
    torch.testing.assert_close(on_phases, nn.functional.conv2d(x, kernel, padding=2, dilation=2), rtol=1e-4, atol=1e-4)


def test_learned_space_to_depth_can_be_the_plain_one() -> None:
    layer = SpaceToDepth(3, nn.BatchNorm2d, "relu").eval()
    with torch.no_grad():
        layer.conv.weight.copy_(torch.eye(12).reshape(12, 3, 2, 2))
        x = torch.rand(2, 3, 7, 8)
        padded = nn.functional.pad(x, (0, 0, 0, 1))
        torch.testing.assert_close(layer(x), nn.functional.pixel_unshuffle(padded, 2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("fused", [False, True])
def test_space_to_batch_costs_what_the_plain_block_costs(fused: bool, stride: int) -> None:
    def cost(record: MBConv) -> tuple[int, int, torch.Size]:
        with torch.device("meta"):
            block = MBConvBlock(record, nn.BatchNorm2d).eval()
            with FlopCounterMode(display=False) as counter:
                out = block(torch.empty(2, 16, 32, 32))
        return sum(weight.numel() for weight in block.parameters()), counter.get_total_flops(), out.shape

    plain = MBConv(in_channels=16, hidden=96, out_channels=16, stride=stride, fused=fused, squeeze=4)
    assert cost(plain) == cost(replace(plain, reshape="space-to-batch"))


def test_squeeze_and_excitation_sees_the_whole_image_through_its_phases() -> None:
    torch.manual_seed(0)
    whole, phased = SqueezeExcite(8, 2), SqueezeExcite(8, 2, phases=4)
    phased.load_state_dict(whole.state_dict())
    x = torch.randn(3, 8, 6, 6)
    torch.testing.assert_close(batch_to_space(phased(space_to_batch(x))), whole(x))
