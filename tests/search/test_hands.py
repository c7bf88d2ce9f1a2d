"""Workers on a Ray cluster of this machine share a study as processes do."""

from pathlib import Path

import pytest

from modelwright.clock import SystemClock
from modelwright.records import Plan
from modelwright.search.desk import Desk
from modelwright.search.hands import Ray
from modelwright.search.site import Site
from modelwright.search.study import Study


def test_every_task_of_a_cluster_reaches_the_one_study(plan: Plan, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install ray")

    def join(study: Study, desk: Desk) -> None:
        study.note(f"seen by {id(desk)} of {ray.get_runtime_context().get_task_id()}", desk.plan)

    study = Study.create(tmp_path / "study.db", plan, SystemClock())
    crew = Ray("local", Site(tmp_path, threads=1), 2)
    try:
        crew.begin([join, join])
        crew.end()
    finally:
        ray.shutdown()
    notes = study.state().notes
    assert len([name for name in notes if name.startswith("seen by")]) == 2
