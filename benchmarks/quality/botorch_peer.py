"""BoTorch's qLogNEHVI as a search algorithm, on one-hot encodings and a discrete set of candidates.

As BoTorch's own tutorial for several objectives has it: an independent Gaussian process (its default kernel and priors)
for each standardised loss, the logarithm of the noisy expected hypervolume improvement (Ament et al., 2023, arXiv
2310.20708; Daulton et al., 2021, arXiv 2105.08195) by quasi Monte Carlo, the reference point that its rule infers. The
candidates are those among which `auto` chooses, so that the two differ in what they believe, not in where they look.
"""

import warnings
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelListGP, SingleTaskGP
from botorch.models.transforms import Standardize
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from gpytorch.mlls import SumMarginalLogLikelihood

from modelwright.records import Point
from modelwright.search.algorithms.candidates import candidates
from modelwright.search.algorithms.searcher import Searcher, fresh
from modelwright.search.history import History
from modelwright.search.pareto import non_dominated
from modelwright.search.space import Domain
from modelwright.search.surrogates.forest import one_hot

BATCH = 256
"""Candidates whose improvement is taken at once."""


@final
@dataclass(frozen=True)
class QLogNEHVI(Searcher):
    """Suggests the candidate of the largest log noisy expected hypervolume improvement.

    Attributes:
        first: evaluations before anything is predicted.
        draws: of the quasi Monte Carlo.
    """

    first: int = 12
    draws: int = 64

    def suggest(self, domain: Domain, history: History, rng: np.random.Generator, count: int) -> list[Point]:
        """One point after the first ones, so many at a time."""
        if len(history.points) < self.first:
            return fresh(domain, history, rng, count)
        front = [history.points[place] for place in non_dominated(history.losses).tolist()]
        pool = candidates(domain, front, history.taken, rng)
        if not pool:
            return fresh(domain, history, rng, count)
        encoding = domain.encode([*history.points, *pool])
        rows = torch.from_numpy(one_hot(encoding.numbers, encoding.categorical))
        size, seed = len(history.points), int(rng.integers(2**31))
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its fits' own troubles BoTorch takes care by itself
            worth = self._worth(rows[:size], torch.from_numpy(-history.losses), rows[size:], seed)
        return fresh(domain, history, rng, count, found=[pool[int(worth.argmax())]])[:count]

    def _worth(self, seen: torch.Tensor, gains: torch.Tensor, pool: torch.Tensor, seed: int) -> torch.Tensor:
        models = [SingleTaskGP(seen, column[:, None], outcome_transform=Standardize(1)) for column in gains.T]
        model = ModelListGP(*models)
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        best = gains[torch.from_numpy(non_dominated(-gains.numpy()))]
        improvement = qLogNoisyExpectedHypervolumeImprovement(
            model,
            infer_reference_point(best),
            seen,
            SobolQMCNormalSampler(torch.Size([self.draws]), seed=seed),
            prune_baseline=True,
        )
        with torch.no_grad():
            return torch.cat([improvement(some[:, None]) for some in pool.split(BATCH)])
