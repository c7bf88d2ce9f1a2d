"""Search algorithms, by name: each is a function of the space, the history and random numbers."""

from modelwright.registry import Registry
from modelwright.search.algorithms.searcher import Searcher

__all__ = ["SEARCHERS", "Searcher", "searchers"]

SEARCHERS = {
    "auto": "modelwright.search.algorithms.auto:Auto",
    "bayesian": "modelwright.search.algorithms.bayesian:Bayesian",
    "evolution": "modelwright.search.algorithms.evolution:RegularisedEvolution",
    "local": "modelwright.search.algorithms.local:LocalSearch",
    "nsga2": "modelwright.search.algorithms.nsga2:NSGA2",
    "optuna-nsga2": "modelwright.search.adapters.optuna:nsga2",
    "optuna-tpe": "modelwright.search.adapters.optuna:tpe",
    "pymoo-nsga2": "modelwright.search.adapters.pymoo:nsga2",
    "random": "modelwright.search.algorithms.random:Random",
    "reinforce": "modelwright.search.algorithms.reinforce:Reinforce",
}

searchers: Registry[type[Searcher]] = Registry("search algorithm", SEARCHERS, group="modelwright.searchers")
