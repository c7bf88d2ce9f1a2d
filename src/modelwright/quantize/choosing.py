"""Which candidate is handed over, and the verdict in words. Pure."""

from collections.abc import Sequence

from modelwright.records import QuantizedCandidate

TIED = 0.02
"""Latencies that differ by less are not told apart; the nearer to float is chosen then."""


def allowed(candidate: QuantizedCandidate, max_drop: float) -> bool:
    """Whether a candidate is as accurate as asked, and was made and measured."""
    finished = candidate.state == "finished" and candidate.latency_s is not None
    return finished and (candidate.drop is None or candidate.drop <= max_drop)


def choose(candidates: Sequence[QuantizedCandidate], max_drop: float) -> QuantizedCandidate | None:
    """The fastest of those that are allowed; of those as fast, the one with the least noise."""
    able = [one for one in candidates if allowed(one, max_drop)]
    if not able:
        return None
    least = min(one.latency_s or 0.0 for one in able)
    near = [one for one in able if (one.latency_s or 0.0) <= least * (1 + TIED)]
    return max(near, key=lambda one: one.sqnr_db or 0.0)


def weights_word(candidates: Sequence[QuantizedCandidate]) -> str:
    """What whole weights alone bring: bytes, and time where a kernel gains by them; "" where they were not tried."""
    named = {one.name: one for one in candidates if one.latency_s is not None and one.size_bytes is not None}
    plain = named.get("fp32")
    found = next((one for one in named.values() if one.recipe.kind == "weight-only"), None)
    if plain is None or found is None or plain.latency_s is None or found.latency_s is None:
        return ""
    share = (found.size_bytes or 0) / (plain.size_bytes or 1)
    if found.latency_s < plain.latency_s * (1 - TIED):
        time = found.latency_s / plain.latency_s
        return f"Whole weights alone take {share:.0%} of the bytes of fp32, and {time:.0%} of its time."
    return f"Whole weights alone take {share:.0%} of the bytes of fp32; no kernel gains time by them."


def verdict(candidates: Sequence[QuantizedCandidate], chosen: QuantizedCandidate | None, max_drop: float) -> str:
    """What came of it, in a sentence or two."""
    floats = [one for one in candidates if one.recipe.kind == "float" and one.latency_s is not None]
    plain = next((one for one in floats if one.recipe.floats == "fp32"), None)
    if chosen is None or chosen.latency_s is None:
        return f"No candidate loses {max_drop:.2%} of accuracy at most: do not quantize, or allow more."
    speed = f", {plain.latency_s / chosen.latency_s:.2f}x as fast as fp32" if plain and plain.latency_s else ""
    cost = f" It loses {chosen.drop:.2%} of accuracy" if chosen.drop is not None else " Its accuracy is not known"
    if chosen.drop_interval is not None:
        low, high = chosen.drop_interval
        cost += f" (95 % interval {low:.2%} to {high:.2%})"
    took = f"{chosen.latency_s * 1e3:.3g} ms{speed}"
    if chosen.recipe.kind == "float":
        others = [one for one in candidates if one.recipe.kind != "float" and allowed(one, max_drop)]
        why = (
            "is as fast as every integer candidate that keeps the accuracy" if others else "is what keeps the accuracy"
        )
        return f"Do not quantize: {chosen.name} {why}: {took}.{cost}."
    return f"{chosen.name}: {took}.{cost}."
