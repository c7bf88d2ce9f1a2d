"""How much arithmetic vector work costs: instructions and transcendental results an element, by operator.

The counts are read off the textbook formulas: an activation, a normalisation or a reduction is so many adds,
multiplies, comparisons and conversions, plus so many results of the special-function unit (exp, reciprocal, square
root). Fused multiply-adds count as one instruction.
"""

from modelwright.records import Operator

# target -> (instructions, special results) an element of the larger of input and output
_COSTS: dict[str, tuple[float, float]] = {
    "relu": (1, 0), "relu6": (2, 0), "leaky_relu": (2, 0), "hardtanh": (2, 0), "clamp": (2, 0), "clamp_min": (1, 0),
    "prelu": (2, 0), "threshold": (1, 0),
    "hardswish": (4, 0), "hardsigmoid": (3, 0),
    "sigmoid": (2, 2),  # 1 / (1 + exp(-x))
    "silu": (3, 2),  # x * sigmoid(x)
    "tanh": (4, 2), "elu": (3, 1), "selu": (4, 1), "celu": (4, 1), "softplus": (3, 2), "mish": (8, 4), "glu": (3, 2),
    "gelu": (14, 2),  # x/2 * (1 + erf(x/sqrt 2)); erf by a polynomial of about ten terms and an exponential
    "erf": (12, 1),
    "div": (1, 1), "reciprocal": (0, 1), "sqrt": (0, 1), "rsqrt": (0, 1), "exp": (1, 1), "exp2": (0, 1), "log": (1, 1),
    "log2": (0, 1), "log1p": (2, 1), "pow": (2, 2), "sin": (3, 1), "cos": (3, 1), "tan": (6, 2), "atan2": (12, 1),
    "batch_norm": (1, 0),  # scale and shift, both known beforehand
    "layer_norm": (5, 0), "group_norm": (5, 0), "instance_norm": (5, 0), "rms_norm": (3, 0),
    "native_layer_norm": (5, 0), "native_group_norm": (5, 0),  # mean, variance, subtract, scale, shift
    "softmax": (5, 1), "log_softmax": (5, 1), "_softmax": (5, 1),  # maximum, subtract, exp, sum, divide
    "var": (3, 0), "var_mean": (3, 0), "std": (3, 0), "std_mean": (3, 0), "linalg_vector_norm": (1, 0), "norm": (1, 0),
    "upsample_bilinear2d": (8, 0), "upsample_bicubic2d": (40, 0), "_upsample_bilinear2d_aa": (8, 0),
    "_upsample_bicubic2d_aa": (40, 0), "grid_sampler": (20, 0), "grid_sampler_2d": (20, 0),
    "topk": (30, 0), "sort": (30, 0), "argsort": (30, 0),
}  # fmt: skip
_BY_KIND: dict[str, tuple[float, float]] = {
    "activation": (2, 0), "elementwise": (1, 0), "reduction": (1, 0), "norm": (5, 0), "softmax": (5, 1),
    "resample": (2, 0), "gather": (2, 0), "copy": (1, 0), "cast": (1, 0), "fill": (1, 0), "pool": (1, 0),
}  # fmt: skip

SCORE_INSTRUCTIONS = 5.0
"""Instructions a score in fused attention: scale, maximum, subtract, sum, convert (Dao, FlashAttention-2, 2023)."""


def instructions(operator: Operator) -> tuple[float, float]:
    """Vector instructions and special results an element that the operator's vector part costs."""
    if operator.kind in {"view", "unknown"}:
        return 0.0, 0.0
    if operator.kind == "pool" and operator.window:
        taps = 1
        for extent in operator.window.kernel:
            taps *= extent
        return float(taps), 0.0
    return _COSTS.get(operator.target, _BY_KIND.get(operator.kind, (0.0, 0.0)))
