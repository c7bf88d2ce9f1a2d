"""Workers on a Ray cluster of this machine share a study's journal as processes do."""

from pathlib import Path

import pytest

from modelwright.search.hands import Ray
from modelwright.search.site import Site
from modelwright.search.study.entries import Beat
from modelwright.store import Journal


def test_every_task_of_a_cluster_reaches_the_one_journal(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install ray")

    def join(site: Site) -> None:
        journal = Journal.open(site.study)
        for turn in range(5):
            journal.append("beat", Beat(f"task {turn}"))

    site = Site(tmp_path, threads=1)
    journal = Journal.create(site.study)
    crew = Ray("local")
    try:
        crew.begin([join, join], site)
        crew.end()
    finally:
        ray.shutdown()
    assert len(journal.read()) == 10
