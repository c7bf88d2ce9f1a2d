"""The choice: the fastest that is accurate enough, the truest of those as fast, and a verdict that says so."""

from modelwright.quantize.choosing import allowed, choose, verdict
from modelwright.records import Quantization, QuantizedCandidate


def candidate(name: str, latency_s: float | None, drop: float | None, db: float | None = 40.0) -> QuantizedCandidate:
    recipe = Quantization(kind="float" if name in ("fp32", "bf16") else "static", floats="fp32")
    return QuantizedCandidate(name, recipe, latency_s=latency_s, drop=drop, sqnr_db=db)


FLOAT = candidate("fp32", 4e-3, 0.0, 320.0)


def test_the_fastest_that_keeps_the_accuracy_is_chosen() -> None:
    fast, slow = candidate("fast", 1e-3, 0.02), candidate("slow", 2e-3, 0.005)
    assert choose([FLOAT, fast, slow], 0.005) == slow
    assert choose([FLOAT, fast, slow], 0.02) == fast
    assert choose([FLOAT, fast, slow], 0.0) == FLOAT


def test_of_those_as_fast_the_nearest_to_float_is_chosen() -> None:
    assert choose([candidate("a", 1.00e-3, 0.0, 20.0), candidate("b", 1.019e-3, 0.0, 30.0)], 0.01) is not None
    assert choose([candidate("a", 1.00e-3, 0.0, 20.0), candidate("b", 1.019e-3, 0.0, 30.0)], 0.01).name == "b"
    assert choose([candidate("a", 1.00e-3, 0.0, 20.0), candidate("b", 1.021e-3, 0.0, 30.0)], 0.01).name == "a"


def test_a_candidate_that_gains_accuracy_is_allowed_and_one_not_made_or_measured_is_not() -> None:
    assert allowed(candidate("a", 1e-3, -0.01), 0.0)
    assert allowed(candidate("a", 1e-3, None), 0.0)
    assert not allowed(candidate("a", None, 0.0), 0.5)
    assert not allowed(QuantizedCandidate("a", Quantization(), "failed", latency_s=1e-3), 0.5)
    assert choose([], 0.5) is None


def test_the_verdict_tells_speed_and_cost_of_what_is_chosen() -> None:
    whole = QuantizedCandidate(
        "int8-mse", Quantization(), latency_s=1e-3, drop=0.004, drop_interval=(-0.001, 0.009), sqnr_db=30.0
    )
    told = verdict([FLOAT, whole], whole, 0.005)
    assert told == (
        "int8-mse: 1 ms, 4.00x as fast as fp32. It loses 0.40% of accuracy (95 % interval -0.10% to 0.90%)."
    )


def test_the_verdict_is_not_to_quantize_where_that_does_not_pay() -> None:
    slow, wrong = candidate("slow", 5e-3, 0.0), candidate("wrong", 1e-3, 0.3)
    told = verdict([FLOAT, slow], FLOAT, 0.005)
    assert told.startswith("Do not quantize: fp32 is as fast as every integer candidate that keeps the accuracy: 4 ms")
    assert verdict([FLOAT, wrong], FLOAT, 0.005).startswith("Do not quantize: fp32 is what keeps the accuracy")
    assert verdict([wrong], None, 0.005) == (
        "No candidate loses 0.50% of accuracy at most: do not quantize, or allow more."
    )
