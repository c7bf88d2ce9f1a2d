"""Studies: searches that survive what happens to their processes. All that is known of one is a fold of its journal."""

from modelwright.search.study.entries import Run, Start
from modelwright.search.study.state import State, fold
from modelwright.search.study.study import Study

__all__ = ["Run", "Start", "State", "Study", "fold"]
