"""Evidence: how good a candidate is held to be, what that costs, and how far it can be trusted. Imports no torch."""

from modelwright.search.evaluate.agreement import agreement, held_against
from modelwright.search.evaluate.halving import promotions, rungs
from modelwright.search.evaluate.judge import Judge, Judgement

JUDGES = {
    "score": "modelwright.search.evaluate.scores.judge:ScoreJudge",
    "supernet": "modelwright.search.evaluate.supernet.judge:SupernetJudge",
    "training": "modelwright.search.evaluate.training:TrainingJudge",
}
"""What judges; each row leads to a class of `Judge`, which imports torch."""

__all__ = ["JUDGES", "Judge", "Judgement", "agreement", "held_against", "promotions", "rungs"]
