"""Which tensors of a graph are quantized: what a recipe asks for, where a target's kernels want it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import fx
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    QuantizationSpecBase,
    Quantizer,
    SharedQuantizationSpec,
)

from modelwright.quantize.graph import kind_of
from modelwright.quantize.profile import Profile

aten = torch.ops.aten

NORMS = (aten.batch_norm.default, aten._native_batch_norm_legit_no_training.default, aten.cudnn_batch_norm.default)
CLIPS = (
    aten.relu.default, aten.relu_.default, aten.hardtanh.default, aten.hardtanh_.default, aten.clamp.default,
    aten.relu6.default,
)  # fmt: skip
ADDS = (aten.add.Tensor, aten.add_.Tensor)
PRODUCTS = (aten.mul.Tensor, aten.mul_.Tensor)
AVERAGES = (aten.adaptive_avg_pool2d.default, aten.avg_pool2d.default, aten.mean.dim)
GATES = (
    aten.silu.default, aten.silu_.default, aten.hardswish.default, aten.hardswish_.default, aten.sigmoid.default,
    aten.hardsigmoid.default, aten.hardsigmoid_.default,
)  # fmt: skip
PASSING = (
    aten.max_pool2d.default, aten.flatten.using_ints, aten.view.default, aten.reshape.default, aten.permute.default,
    aten.transpose.int, aten.squeeze.dim, aten.unsqueeze.default,
)  # fmt: skip

POOLS = (aten.max_pool2d.default,)
JOIN = aten.cat.default

KEY = "quantization_annotation"


@final
@dataclass(frozen=True)
class Annotator(Quantizer):  # type: ignore[misc]  # torchao ships no types
    """Marks tensors for torchao to put fake quantization there.

    Attributes:
        profile: the target's rules.
        activations: makes the specification of an activation.
        weights: makes that of a weight, of a node whose weight has its output channels on an axis.
        chosen: names of the nodes that are quantized.
        share: whether layers that read one tensor read it quantized once; else each has its own quantization.
    """

    profile: Profile
    activations: Callable[[], QuantizationSpec]
    weights: Callable[[int], QuantizationSpec]
    chosen: Collection[str]
    share: bool = True

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        """Mark the inputs of the layers that are chosen, and what the profile asks for around them."""
        activation = self.activations()
        for node in model.graph.nodes:
            if node.name in self.chosen:
                self._layer(node, activation)
        near = {_end(node) for node in model.graph.nodes if node.name in self.chosen}
        for node in model.graph.nodes:
            if node.target in ADDS and self.profile.adds != "none":
                self._addition(node, activation, near)
            elif node.target is JOIN and (self.profile.elementwise or self.profile.pools):
                self._join(node, activation)
            elif self.profile.elementwise and node.op == "call_function":
                self._elementwise(node, activation)
            elif self.profile.pools and node.target in POOLS and _node(node.args[0]) in near:
                self._pooling(node, activation)
        return model

    def validate(self, model: fx.GraphModule) -> None:
        """All rules are checked before."""

    def _layer(self, node: fx.Node, activation: QuantizationSpec) -> None:
        kind = kind_of(node)
        inputs: dict[fx.Node, QuantizationSpecBase] = {_node(node.args[0]): activation}
        transposed = "transpose" in str(node.target)
        inputs[_node(node.args[1])] = activation if kind == "product" else self.weights(1 if transposed else 0)
        end = _end(node)
        last = any(user.op == "output" for user in end.users)  # logits are wanted as floats
        if not self.profile.outputs or last:
            self._mark(node, inputs)
        elif end is node:
            self._mark(node, inputs, activation)
        else:
            self._mark(node, inputs)
            self._mark(end, {}, activation)

    def _addition(self, node: fx.Node, activation: QuantizationSpec, near: Collection[fx.Node]) -> None:
        terms = [given for given in node.args[:2] if isinstance(given, fx.Node) and _floating(given)]
        own = [term for term in terms if term in near and len(term.users) == 1]
        end = _end(node)
        if (
            len(terms) < 2
            or not any(term in near for term in terms)
            or (self.profile.adds == "clipped" and end is node)
        ):
            return
        if self.profile.adds in ("all", "clipped"):
            self._mark(node, dict.fromkeys(terms, activation), activation if end is node else None)
            if end is not node:
                self._mark(end, {}, activation)
        elif own:  # the layer adds the other term in its own kernel
            self._mark(node, {term: activation for term in terms if term is not own[-1]})

    def _pooling(self, node: fx.Node, activation: QuantizationSpec) -> None:
        """The greatest of whole numbers is one of them: a layer that reads it has its input quantized before it."""
        if any(node in user.meta[KEY].input_qspec_map for user in node.users if KEY in user.meta):
            first = _node(node.args[0])
            self._mark(node, {first: activation}, SharedQuantizationSpec((first, node)))

    def _join(self, node: fx.Node, activation: QuantizationSpec) -> None:
        """What is joined has one scale, that of the whole, so that nothing is quantized anew between the kernels."""
        parts = [_node(one) for one in node.args[0]] if isinstance(node.args[0], list | tuple) else []
        read = any(node in user.meta[KEY].input_qspec_map for user in node.users if KEY in user.meta)
        if not read or len(parts) < 2 or not all(_floating(part) for part in parts):
            return
        shared = SharedQuantizationSpec((parts[0], node))
        self._mark(node, {**dict.fromkeys(parts, shared), parts[0]: activation}, shared)

    def _elementwise(self, node: fx.Node, activation: QuantizationSpec) -> None:
        given = [one for one in node.args[:2] if isinstance(one, fx.Node) and _floating(one)]
        if KEY in node.meta or not given or not all(_quantized(one) for one in given):
            return
        if node.target in PASSING:
            first = given[0]
            self._mark(node, {first: activation}, SharedQuantizationSpec((first, node)))
        elif node.target in AVERAGES or node.target in GATES or (node.target in PRODUCTS and len(given) == 2):
            self._mark(node, dict.fromkeys(given, activation), activation)

    def _mark(
        self, node: fx.Node, inputs: dict[fx.Node, QuantizationSpecBase], output: QuantizationSpecBase | None = None
    ) -> None:
        node.meta[KEY] = QuantizationAnnotation(
            input_qspec_map=inputs, output_qspec=output, allow_implicit_sharing=self.share, _annotated=True
        )


def _end(node: fx.Node) -> fx.Node:
    """The last of the nodes that a kernel computes together: a layer, its normalisation, its clipping activation."""
    end = node
    for followers in (NORMS, CLIPS):
        users = list(end.users)
        if len(users) == 1 and users[0].target in followers:
            end = users[0]
    return end


def _quantized(node: fx.Node) -> bool:
    """Whether what a node makes is quantized already."""
    marked = node.meta.get(KEY)
    return marked is not None and marked.output_qspec is not None


def _floating(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _node(given: Any) -> fx.Node:
    found: fx.Node = given
    return found
