"""Optuna's samplers (Akiba et al., 2019, arXiv 1907.10902) as search algorithms."""

import warnings
from collections.abc import Callable
from typing import Any, final

import numpy as np
import optuna

from modelwright.records import Choice, Point, Value
from modelwright.search.adapters.translation import Translation, active
from modelwright.search.algorithms.searcher import TRIES, Searcher, fresh
from modelwright.search.history import History, Key, key
from modelwright.search.space import Domain


@final
class OptunaSearcher(Searcher):
    """Asks a live Optuna study; what the history holds and the study does not is told first.

    A proposal that was evaluated before costs nothing: the study is told the known result and asked again.

    Args:
        sampler: makes the sampler from a seed, and from whether choices have conditions.
    """

    def __init__(self, sampler: Callable[[int, bool], Any]) -> None:
        self.sampler = sampler
        self._study: Any = None
        self._translation: Translation | None = None
        self._told: list[Key] = []
        self._asked: dict[Key, Any] = {}

    def suggest(self, domain: Domain, history: History, rng: np.random.Generator, count: int) -> list[Point]:
        """Up to `count` points that the sampler proposes."""
        self._follow(domain, history, rng)
        losses = {key(point): row for point, row in zip(history.points, history.losses.tolist(), strict=True)}
        taken, found = history.taken, list[Point]()
        for _ in range(count):
            point = self._ask(history, losses, taken)
            if point is None:
                return fresh(domain, history, rng, count, found=found)
            taken.add(key(point))
            found.append(point)
        return found

    def _follow(self, domain: Domain, history: History, rng: np.random.Generator) -> None:
        """Bring the study to where the history is."""
        keys = [key(point) for point in history.points]
        if self._study is None or keys[: len(self._told)] != self._told:
            optuna.logging.set_verbosity(optuna.logging.ERROR)
            directions = [optuna.study.StudyDirection.MINIMIZE] * history.losses.shape[1]
            seed = int(rng.integers(2**31))
            self._translation, self._told, self._asked = Translation(domain), [], {}
            conditional = any(choice.when for choice in self._translation.choices)
            self._study = optuna.create_study(directions=directions, sampler=self.sampler(seed, conditional))
        for place in range(len(self._told), len(keys)):
            told, point, row = keys[place], history.points[place], history.losses[place].tolist()
            trial = self._asked.pop(told, None)
            if trial is None:
                named = {choice.name: choice for choice in self._translation.choices} if self._translation else {}
                places = {name: named[name].values.index(value) for name, value in point.items()}
                self._study.enqueue_trial(places)
                trial = self._study.ask()
                self._values(trial)
            self._study.tell(trial, row)
            self._told.append(told)

    def _ask(self, history: History, losses: dict[Key, list[float]], taken: set[Key]) -> Point | None:
        for _ in range(TRIES):
            trial = self._study.ask()
            point = self._translation.point(self._values(trial)) if self._translation else {}
            name = key(point)
            if name in losses:
                self._study.tell(trial, losses[name])
            elif name in taken or not history.allowed([point])[0]:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                self._asked[name] = trial
                return point
        return None

    def _values(self, trial: Any) -> dict[str, Value]:
        """What a trial proposes, choice by choice, as far as conditions let it."""
        found: dict[str, Value] = {}
        for choice in self._translation.choices if self._translation else ():
            if active(choice, found):
                found[choice.name] = _suggested(trial, choice)
        return found


def _suggested(trial: Any, choice: Choice) -> Value:
    """A number is the place of its value to Optuna, a word a category."""
    count = len(choice.values)
    place: int = (
        trial.suggest_int(choice.name, 0, count - 1)
        if choice.ordered
        else trial.suggest_categorical(choice.name, list(range(count)))
    )
    return choice.values[place]


def tpe() -> OptunaSearcher:
    """The multivariate tree-structured Parzen estimator, in groups where choices have conditions."""
    return OptunaSearcher(_tpe)


def nsga2() -> OptunaSearcher:
    """Optuna's NSGA-II with a population of 20."""
    return OptunaSearcher(lambda seed, _: optuna.samplers.NSGAIISampler(population_size=20, seed=seed))


def _tpe(seed: int, grouped: bool) -> Any:
    with (
        warnings.catch_warnings()
    ):  # groups are marked as an experiment, and this is Optuna's own advice for conditions
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(multivariate=True, group=grouped, seed=seed)
