"""A network as a frozen value: input, stem, stages of blocks, head; every number resolved, nothing left to a rule.

The rules that lead to the numbers (baseline rows, compound scaling, rounding) live with the families in `networks`; a
record holds what came out of them, so that a search can change any of it, a cost model can read it without a framework,
and one builder can make any of it. Channels count what a tensor really has. A stage is a run of equal blocks: where a
paper's stage begins with a stride, that first block is a stage of its own.
"""

from typing import Annotated, Literal

import msgspec

from modelwright.records.platform import Count, Fraction, Name, Positive

Activation = Literal["relu", "swish", "hard-swish", "gelu", "gelu-tanh"]
Gate = Literal["sigmoid", "hard-sigmoid"]
Norm = Literal["layer", "rms"]
Reshape = Literal["none", "space-to-depth", "space-to-batch"]
Stride = Literal[1, 2]
Width = Annotated[int, msgspec.Meta(ge=0)]
Rate = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class MBConv(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="mbconv"):
    """Inverted bottleneck: expand, convolve, squeeze and excite, project; depthwise or fused.

    Sources: MobileNetV2 (2018, arXiv 1801.04381), EfficientNet (2019, arXiv 1905.11946), fused and reshaped forms from
    EfficientNet-X (2021, arXiv 2102.05610). The input is added to the output wherever both have one shape.

    Attributes:
        in_channels, out_channels: of the tensors that enter and leave.
        hidden: channels between expansion and projection. A depthwise block does not expand where the width is already
            there; a fused block with 0 is one k x k convolution straight to `out_channels`.
        kernel: of the depthwise or fused convolution; an even one (stride 1 only) is padded after, not before.
        fused: one k x k convolution stands for the 1x1 expansion and the depthwise convolution.
        squeeze: inner width of squeeze-and-excitation, 0 for none.
        activation: everywhere but inside squeeze-and-excitation.
        squeeze_activation, gate: inside it.
        reshape: "space-to-depth" sets a learned 2x2 stride-2 convolution to 4 x `in_channels` before the block;
            "space-to-batch" runs the block on the four phases of the image as four images, parameter-free.
    """

    in_channels: Count
    hidden: Width
    out_channels: Count
    kernel: Count = 3
    stride: Stride = 1
    fused: bool = False
    squeeze: Width = 0
    activation: Activation = "swish"
    squeeze_activation: Activation = "swish"
    gate: Gate = "sigmoid"
    reshape: Reshape = "none"

    @property
    def merged_channels(self) -> int:
        """Channels after the learned space-to-depth, where there is one."""
        return self.in_channels * 4 if self.reshape == "space-to-depth" else self.in_channels


class Bottleneck(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="bottleneck"):
    """Residual bottleneck: 1x1, k x k, 1x1, and a 1x1 shortcut wherever the shape changes.

    Sources: ResNet (2015, arXiv 1512.03385, stride on the k x k convolution), RegNet (2020, arXiv 2003.13678), ResNeSt
    (2020, arXiv 2004.08955).

    Attributes:
        hidden: channels of the k x k convolution.
        groups: of the k x k convolution.
        squeeze: inner width of squeeze-and-excitation, or of split attention where `radix` > 1; 0 for none.
        radix: how many splits the k x k convolution makes for split attention to weigh; 1 for none.
        pooled: strides are average pooling, 3x3 in the branch and 2x2 in the shortcut (ResNeSt).
    """

    in_channels: Count
    hidden: Count
    out_channels: Count
    kernel: Count = 3
    stride: Stride = 1
    groups: Count = 1
    squeeze: Width = 0
    radix: Count = 1
    pooled: bool = False
    activation: Activation = "relu"


class Transformer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="transformer"):
    """Pre-norm attention and a two-layer perceptron, each with a residual connection.

    Sources: Transformer (2017, arXiv 1706.03762), GPT-2 (2019), ViT (2020, arXiv 2010.11929), grouped-query attention
    (2023, arXiv 2305.13245).

    Attributes:
        width: of the tokens.
        heads: of the queries, width / heads wide each.
        kv_heads: of keys and values; fewer than `heads` share them.
        hidden: inner width of the perceptron.
        causal: a token attends only to itself and those before it.
        qkv_bias: whether the query, key and value projections have a bias.
    """

    width: Count
    heads: Count
    kv_heads: Count
    hidden: Count
    causal: bool = False
    qkv_bias: bool = True
    activation: Activation = "gelu"
    norm: Norm = "layer"

    @property
    def in_channels(self) -> int:
        """Its width, under the name that convolutional blocks use."""
        return self.width

    @property
    def out_channels(self) -> int:
        """Its width, under the name that convolutional blocks use."""
        return self.width


class ConvStem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="convolutions"):
    """Convolutions from the image to the first stage; the first has stride 2.

    Attributes:
        channels: of each convolution's output, in order.
        kernel: of every one.
        pool: a 3x3 stride-2 maximum pooling follows.
    """

    channels: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1)]
    kernel: Count = 3
    pool: bool = False
    activation: Activation = "relu"

    @property
    def out_channels(self) -> int:
        """Of the last convolution."""
        return self.channels[-1]


class PatchStem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="patches"):
    """An image cut into square patches, each projected to one token; learned positions.

    Attributes:
        patch: side of a patch in pixels.
        class_token: a learned token goes before them.
    """

    patch: Count
    width: Count
    class_token: bool = True

    @property
    def out_channels(self) -> int:
        """The tokens' width."""
        return self.width


class TokenStem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="tokens"):
    """Token numbers looked up in a table; learned positions.

    Attributes:
        vocabulary: how many tokens there are.
        positions: the longest sequence.
    """

    vocabulary: Count
    width: Count
    positions: Count

    @property
    def out_channels(self) -> int:
        """The tokens' width."""
        return self.width


class PoolHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="pool"):
    """Average pooling and a linear classifier.

    Attributes:
        channels: of a 1x1 convolution before the pooling, 0 for none.
        hidden: width of a linear layer after the pooling, 0 for none.
        activation: after either.
    """

    channels: Width = 0
    hidden: Width = 0
    activation: Activation = "relu"


class TokenHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="token"):
    """A last norm and a linear classifier on tokens.

    Attributes:
        pool: the first token, the mean of all, or "none" to classify every token.
        tied: the classifier's weights are the token table's.
        bias: whether the classifier has a bias.
    """

    pool: Literal["first", "mean", "none"] = "first"
    tied: bool = False
    bias: bool = True
    norm: Norm = "layer"


Block = MBConv | Bottleneck | Transformer
Stem = ConvStem | PatchStem | TokenStem
Head = PoolHead | TokenHead


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run of equal blocks; with more than one, the block must keep its input's shape."""

    block: Block
    repeats: Count = 1


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network, resolved to the last number.

    Attributes:
        name: the word for it on the command line.
        input: shape of one sample: (channels, height, width), or (length,) of token numbers.
        classes: width of the classifier's output.
        dropout: in training, before a pooling head's classifier; in transformers after the positions are added, and at
            the end of each branch.
        survival: in training, a residual branch of block i of n is kept with probability 1 - (1 - survival) * i / n
            (stochastic depth: 2016, arXiv 1603.09382).
        norm_epsilon: of all normalisations.
        norm_momentum: share of the new batch in batch normalisation's running averages.
        source: where the numbers were published.
    """

    name: Name
    input: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1, max_length=3)]
    classes: Count
    stem: Stem
    stages: Annotated[tuple[Stage, ...], msgspec.Meta(min_length=1)]
    head: Head
    dropout: Rate = 0.0
    survival: Fraction = 1.0
    norm_epsilon: Positive = 1e-5
    norm_momentum: Fraction = 0.1
    source: str = ""

    @property
    def depth(self) -> int:
        """How many blocks there are."""
        return sum(stage.repeats for stage in self.stages)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks, in order of execution."""
        return tuple(stage.block for stage in self.stages for _ in range(stage.repeats))

    def survival_of(self, position: int) -> float:
        """Probability that the residual branch of block `position`, counted from 0, is kept in training."""
        return 1.0 - (1.0 - self.survival) * position / self.depth
