"""REINFORCE: a controller of independent choices, moved towards those of rewarded points.

The line of work of the authors of EfficientNet-X: a policy that draws each choice, rewarded by accuracy * (latency /
target) ^ w (MnasNet, 2018, arXiv 1807.11626), trained by the policy gradient with a moving baseline (Williams, 1992;
Zoph and Le, 2016, arXiv 1611.01578); one softmax a choice as in TuNAS (2020, arXiv 2008.06120). Trained from the
beginning at each suggestion by walking through the history, so that nothing but the history is kept.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from modelwright.records import Point
from modelwright.search.algorithms.searcher import Searcher, fresh
from modelwright.search.history import History
from modelwright.search.space import Domain, Listed, Product

Numbers = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Reinforce(Searcher):
    """A controller with one softmax a choice.

    Attributes:
        rate: step of the gradient. baseline: decay of the moving average of rewards. explore: share of draws that are
            from anywhere, so that no choice dies out. weights: of the losses in the reward, the sum of -weight *
            (loss - mean) / deviation, for a history that brings no rewards; empty for equal ones.
    """

    rate: float = 0.3
    baseline: float = 0.9
    explore: float = 0.1
    weights: tuple[float, ...] = ()

    def suggest(self, domain: Domain, history: History, rng: np.random.Generator, count: int) -> list[Point]:
        """Up to `count` points that the controller draws."""
        policy = self.policy(domain, history)

        def draw() -> Point:
            if rng.random() < self.explore:
                return domain.sample(rng, 1)[0]
            return _realise(domain, policy, rng)

        return fresh(domain, history, rng, count, draw)

    def policy(self, domain: Domain, history: History) -> list[Numbers]:
        """The chance of each value of each choice, after the whole history."""
        logits = [np.zeros(len(choice.values)) for choice in domain.choices]
        baseline = 0.0
        for point, reward in zip(history.points, self._rewards(history).tolist(), strict=True):
            advantage = reward - baseline
            baseline = self.baseline * baseline + (1.0 - self.baseline) * reward
            for choice, logit in zip(domain.choices, logits, strict=True):
                if choice.name in point:
                    step = -_softmax(logit)
                    step[choice.values.index(point[choice.name])] += 1.0
                    logit += self.rate * advantage * step
        return [_softmax(logit) for logit in logits]

    def _rewards(self, history: History) -> Numbers:
        """Of each point, standardised; those of the history where it brings them."""
        losses = history.ordered()
        if history.rewards is None:
            spread = losses.std(axis=0) if len(losses) else np.ones(losses.shape[1])
            weights = np.array(self.weights) if self.weights else np.full(losses.shape[1], 1.0 / losses.shape[1])
            centred = losses - losses.mean(axis=0) if len(losses) else losses
            rewards: Numbers = -(centred / np.where(spread > 0, spread, 1.0)) @ weights
        else:
            rewards = history.rewards
        deviation = rewards.std() if len(rewards) else 0.0
        return (rewards - rewards.mean()) / deviation if deviation > 0 else np.zeros(len(rewards))


def _realise(domain: Domain, policy: list[Numbers], rng: np.random.Generator) -> Point:
    """The point of the domain that the policy draws, or the one nearest to it."""
    drawn = [int(rng.choice(len(chance), p=chance)) for chance in policy]
    encoding = domain.encode([{c.name: c.values[place] for c, place in zip(domain.choices, drawn, strict=True)}])
    if isinstance(domain, Listed):
        return dict(domain.points[domain.nearest(encoding.numbers[0])])
    return domain.decode(encoding.numbers)[0] if isinstance(domain, Product) else domain.sample(rng, 1)[0]


def _softmax(logit: Numbers) -> Numbers:
    raised = np.exp(logit - logit.max())
    chance: Numbers = raised / raised.sum()
    return chance
