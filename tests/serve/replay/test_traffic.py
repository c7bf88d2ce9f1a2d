"""Traffic has the rate that was asked for, and a trace is read as it was written, or refused with its line."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from modelwright.errors import RecordError
from modelwright.records.capacity import Latency
from modelwright.serve.replay import bursts, diurnal, draw, measured, poisson, read_trace

DAY = 86400.0


def test_a_poisson_stream_has_exponential_gaps_at_its_rate() -> None:
    found = poisson(2.0, 5000.0, np.random.default_rng(0)).arrivals
    assert len(found) == pytest.approx(10_000, abs=4 * 100)
    assert stats.kstest(np.diff(found), "expon", args=(0, 0.5)).pvalue > 0.01


def test_a_day_swings_about_its_mean_with_its_least_at_midnight() -> None:
    found = diurnal(1.0, 0.8, DAY, np.random.default_rng(1)).arrivals
    assert len(found) == pytest.approx(DAY, abs=4 * math.sqrt(DAY))
    hours = np.bincount((found // 3600).astype(int), minlength=24)
    expected = [
        3600 - 0.8 * DAY / (2 * math.pi) * (math.sin(2 * math.pi * (h + 1) / 24) - math.sin(2 * math.pi * h / 24))
        for h in range(24)
    ]
    assert stats.chisquare(hours, np.array(expected) * hours.sum() / sum(expected)).pvalue > 0.01
    steady = diurnal(1.0, 0.0, DAY, np.random.default_rng(1)).arrivals
    assert stats.kstest(steady / DAY, "uniform").pvalue > 0.01


def test_bursts_come_at_once_and_on_time() -> None:
    found = bursts(0.0, 100, 600.0, 3600.0, np.random.default_rng(2))
    times, counts = np.unique(found.arrivals, return_counts=True)
    assert times.tolist() == [300, 900, 1500, 2100, 2700, 3300]
    assert set(counts.tolist()) == {100}
    assert found.busiest == 100


@pytest.mark.parametrize(
    ("latency", "mean", "deviation"),
    [
        (Latency("constant", 3.0), 3.0, 0.0),
        (Latency("exponential", 3.0), 3.0, 3.0),
        (Latency("lognormal", 3.0, 0.5), 3.0, 1.5),
        (Latency("lognormal", 3.0, 0.0), 3.0, 0.0),
        (Latency("sample", 2.0, sample=(1.0, 3.0)), 2.0, 1.0),
    ],
)
def test_times_have_the_mean_and_the_deviation_of_their_distribution(
    latency: Latency, mean: float, deviation: float
) -> None:
    times = draw(latency, 200_000, np.random.default_rng(3))
    assert times.mean() == pytest.approx(mean, rel=0.02)
    assert times.std() == pytest.approx(deviation, rel=0.03, abs=1e-9)


def written(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_trace_may_have_columns_in_any_order_and_rows_too(tmp_path: Path) -> None:
    found = read_trace(written(tmp_path, "size,who,Arrival,duration\n5,a,20,0.5\n7,b,10,0.25\n\n"))
    assert found.arrivals.tolist() == [0, 10]
    assert found.durations is not None
    assert found.sizes is not None
    assert found.durations.tolist() == [0.25, 0.5]
    assert found.sizes.tolist() == [7, 5]
    assert found.duration_s == 10


def test_arrivals_may_be_dates_and_zones_are_heeded(tmp_path: Path) -> None:
    rows = "arrival\n2026-01-01T00:00:00Z\n2026-01-01T02:00:30+02:00\n2026-01-01 00:01:00\n"
    assert read_trace(written(tmp_path, rows)).arrivals.tolist() == [0, 30, 60]


def test_a_trace_without_headings_holds_arrivals_and_durations(tmp_path: Path) -> None:
    found = read_trace(written(tmp_path, "1.5,2\n0.5,1\n"))
    assert found.arrivals.tolist() == [0, 1]
    assert found.durations is not None
    assert found.durations.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "one arrival at least"),
        ("arrival\n", "one arrival at least"),
        ("when,size\n1,2\n", "a column 'arrival'"),
        ("arrival\n1\nsoon\n", "line 3"),
        ("arrival\n1\nnan\n", "line 3"),
        ("arrival,duration\n1,2\n2,-1\n", "line 3"),
        ("arrival,duration\n1,2\n2\n", "line 3"),
        ("arrival,size\n1,inf\n", "line 2"),
    ],
)
def test_a_trace_that_makes_no_sense_is_refused_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(RecordError, match=told):
        read_trace(written(tmp_path, text))


def test_a_sample_is_what_was_measured(tmp_path: Path) -> None:
    found = measured(written(tmp_path, "seconds\n1\n2.5e-1\n\n4,\n"))
    assert found.sample == (1.0, 0.25, 4.0)
    assert found.mean_s == 1.75
    assert set(draw(found, 100, np.random.default_rng(0)).tolist()) == {1.0, 0.25, 4.0}
    for text in ("", "seconds\n", "1\n-2\n", "1\nx\n"):
        with pytest.raises(RecordError):
            measured(written(tmp_path, text))
