"""Stratified drawing: a part in which each class has its share."""

import torch


def stratified(labels: torch.Tensor, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers of `count` images drawn class by class, and those of the rest; both rising.

    A class gets its exact share, rounded by the largest remainder; where `count` is no less than the number of classes,
    each gets one at least.

    Args:
        labels: int64 of (N,), from 0.
        count: how many to draw, 0 to N.
        seed: of the draw.
    """
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.bincount(labels).tolist()
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label, quota in enumerate(quotas(sizes, count)):
        members = (labels == label).nonzero().flatten()
        chosen[members[torch.randperm(len(members), generator=generator)[:quota]]] = True
    return chosen.nonzero().flatten(), (~chosen).nonzero().flatten()


def quotas(sizes: list[int], count: int) -> list[int]:
    """How many of `count` each class gets: its share of all, by the largest remainder (Hamilton's method)."""
    total = sum(sizes)
    shares = [divmod(size * count, total) for size in sizes]
    found = [whole for whole, _ in shares]
    order = sorted(range(len(sizes)), key=lambda label: -shares[label][1])
    for label in order[: count - sum(found)]:
        found[label] += 1
    missing = [label for label, size in enumerate(sizes) if size and not found[label]]
    if count >= sum(size > 0 for size in sizes):
        for label in missing:
            found[found.index(max(found))] -= 1
            found[label] = 1
    return found
