"""Scores without training, by name: each row leads to a function of a freshly drawn network and one batch."""

SCORES = {
    "flops": "modelwright.search.evaluate.scores.size:flops",
    "grad-norm": "modelwright.search.evaluate.scores.gradient:grad_norm",
    "jacobian-covariance": "modelwright.search.evaluate.scores.naswot:jacobian_covariance",
    "naswot": "modelwright.search.evaluate.scores.naswot:naswot",
    "params": "modelwright.search.evaluate.scores.size:params",
    "snip": "modelwright.search.evaluate.scores.gradient:snip",
    "synflow": "modelwright.search.evaluate.scores.synflow:synflow",
}
"""Each function takes (network, images, labels), images normalised, and returns a number: the larger, the better."""

__all__ = ["SCORES"]
