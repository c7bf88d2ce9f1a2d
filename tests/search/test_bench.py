"""Tables as problems: what is read, what is refused, and that a race measures what it says."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

from modelwright.errors import RecordError, SettingError
from modelwright.search.bench import Race, Table, read_table
from modelwright.search.pareto import reference_point

TEXT = """name,width,error,latency,gain
a,8,0.5,1.0,-1
b,8,0.4,2.0,0
a,16,0.3,4.0,1
b,16,0.35,3.0,2
a,8,0.1,0.1,9
b,32,0.45,8.0,3
"""
"""The fifth row has the choices of the first."""


def write(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path: Path, **more: object) -> Table:
    asked = {"minimise": ["error", "latency"]} | more
    return read_table(path, ["name", "width"], **asked)  # type: ignore[arg-type]


def test_the_first_of_equal_candidates_counts_and_small_positive_numbers_are_taken_by_their_logarithm(
    tmp_path: Path,
) -> None:
    table = read(write(tmp_path, TEXT), maximise=["gain"])
    assert table.domain.size == 5
    assert table.domain.dropped == 1
    assert table.objectives == ("error", "latency", "gain")
    assert table.logarithmic == (True, True, False)
    assert json.dumps(table.logarithmic) == "[true, true, false]"
    assert table.losses[0] == pytest.approx([np.log(0.5), 0.0, 1.0])
    assert table.losses[4] == pytest.approx([np.log(0.45), np.log(8), -3])


def test_a_minimised_column_is_linear_if_asked_or_where_it_reaches_zero(tmp_path: Path) -> None:
    path = write(tmp_path, TEXT)
    assert read(path, linear=["latency"]).logarithmic == (True, False)
    assert read(path, linear=["latency"]).losses[:, 1].tolist() == [1, 2, 4, 3, 8]
    assert read(path, minimise=["error", "gain"]).logarithmic == (True, False)
    assert read(path, minimise=["error"], maximise=["latency"]).losses[:, 1].tolist() == [-1, -2, -4, -3, -8]


def test_zipped_or_not_with_a_mark_of_its_encoding_or_not_it_is_the_same_table(tmp_path: Path) -> None:
    plain = read(write(tmp_path, TEXT))
    raw = TEXT.encode()
    others = {
        "a.csv.gz": gzip.compress(raw),
        "b.csv": b"\xef\xbb\xbf" + raw,
        "c.csv": raw.replace(b"\n", b"\r\n"),
        "d.csv": raw.replace(b"\n", b"\n\n"),
    }
    for name, content in others.items():
        other = read(write(tmp_path, content, name))
        assert (other.losses == plain.losses).all()
        assert other.domain.points == plain.domain.points


BROKEN = {
    "a cell too many": (TEXT.replace("a,16,", "a,16,5,"), "line 4: .* 5 cells, .* got 6"),
    "a word for a number": (TEXT.replace("0.35", "fast"), "line 5, column 'error': .* finite number, .* 'fast'"),
    "no finite number": (TEXT.replace("0.35", "nan"), "line 5, column 'error'"),
    "an empty cell": (TEXT.replace("0.35", ""), "line 5, column 'error'"),
    "after an empty line": (TEXT.replace("0.5", "slow").replace("gain\n", "gain\n\n"), "line 3, column 'error'"),
    "no rows": (TEXT.partition("\n")[0], "at least one row"),
    "nothing": ("", "first line"),
    "two columns of a name": (TEXT.replace("gain", "error"), "each once"),
    "a picture": (b"\x89PNG\r\n\x1a\n\xff\xfe", "CSV text"),
    "half of an archive": (gzip.compress(TEXT.encode())[:30], "CSV text"),
    "a spoiled archive": (gzip.compress(TEXT.encode())[:-20] + bytes(20), "CSV text"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_table_is_refused_with_the_place_of_the_fault(name: str, tmp_path: Path) -> None:
    text, says = BROKEN[name]
    path = write(tmp_path, text)
    with pytest.raises(RecordError, match=says) as caught:
        read(path)
    assert str(path) in str(caught.value)


ASKED: dict[str, tuple[dict[str, object], str]] = {
    "no objective": ({"minimise": []}, "choices and objectives"),
    "an unknown column": ({"minimise": ["speed"]}, "'speed'.*It has name, width, error, latency, gain"),
    "a choice as an objective": ({"minimise": ["width"]}, "one part, but got 'width'"),
    "both ways": ({"maximise": ["error"]}, "one part, but got 'error'"),
    "free, but no objective": ({"free": ["gain"]}, "--free names objectives, but got 'gain'"),
    "linear, but no objective": ({"linear": ["gain"]}, "--linear names objectives"),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_makes_no_problem_is_refused(name: str, tmp_path: Path) -> None:
    more, says = ASKED[name]
    with pytest.raises(SettingError, match=says):
        read(write(tmp_path, TEXT), **more)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """60 candidates: wider is better and slower, and words make it worse by more or less."""
    rng = np.random.default_rng(0)
    rows = [
        f"{width},{kind},{depth},{1 / width + 0.1 * 'abcd'.index(kind) + 0.05 * rng.random()},{width * depth}"
        for width in (1, 2, 4, 8, 16)
        for kind in "abcd"
        for depth in (1, 2, 3)
    ]
    path = write(tmp_path, "\n".join(["width,kind,depth,error,latency", *rows]))
    return read_table(path, ["width", "kind", "depth"], minimise=["error", "latency"], free=["latency"])


def test_what_is_free_is_told_and_what_is_paid_for_is_not(table: Table) -> None:
    known = table.known()
    assert known is not None
    shown = known(table.domain.points[:9])
    assert np.isnan(shown[:, 0]).all()
    assert (shown[:, 1] == table.losses[:9, 1]).all()
    history = table.history(table.domain.points[3:5])
    assert (history.losses == table.losses[3:5]).all()
    assert history.known is not None
    with pytest.raises(RecordError, match="value"):
        table.place({"width": 3, "kind": "a", "depth": 1})


def test_the_whole_table_has_the_whole_volume_and_so_has_its_front(table: Table) -> None:
    assert table.ratio(table.losses) == pytest.approx(1)
    assert table.ratio(table.losses[table.front]) == pytest.approx(1)
    assert table.ratio(table.losses[:0]) == 0
    assert (table.reference == reference_point(table.losses)).all()
    rng = np.random.default_rng(1)
    ratios = [table.ratio(table.losses[rng.permutation(60)[:size]]) for size in (1, 5, 20)]
    assert all(0 <= ratio <= 1 for ratio in ratios)


@pytest.mark.parametrize("method", ["random", "nsga2", "local"])
def test_a_race_finds_more_the_longer_it_goes_and_all_of_it_in_the_end(method: str, table: Table) -> None:
    outcome = Race(table, method, evaluations=1000, at_once=3).run(5)
    assert list(outcome.ratios) == [50, 60], "no more than there are"
    assert list(outcome.ratios.values()) == sorted(outcome.ratios.values())
    assert outcome.ratios[60] == pytest.approx(1)
    assert sorted(outcome.found) == list(range(60)), "each once"
    again = Race(table, method, evaluations=54, at_once=3).run(5)
    assert again.found == outcome.found[:54]
    assert again.ratios[50] == outcome.ratios[50] == table.ratio(table.losses[list(outcome.found[:50])])


def test_races_from_many_seeds_are_those_of_each_in_one_process_or_two(table: Table) -> None:
    race, ended = Race(table, "random", evaluations=10), list[int]()
    one, two = race.run_all(3, report=ended.append), race.run_all(3, workers=2)
    assert one == two == [race.run(seed) for seed in range(3)]
    assert ended == [1, 2, 3]
    assert len({outcome.found for outcome in one}) == 3


def test_an_algorithm_of_ones_own_is_named_by_its_address(table: Table) -> None:
    own = Race(table, "modelwright.search.algorithms.random:Random", evaluations=10)
    assert own.run(3) == Race(table, "random", evaluations=10).run(3)


def test_a_search_that_gives_up_is_found_out(table: Table) -> None:
    with pytest.raises(SettingError, match=re.escape("suggest points while any are left")):
        Race(table, f"{__name__}:GivesUp").run(0)


class GivesUp:
    """Suggests nothing."""

    def suggest(self, *_: object) -> list[object]:
        """None."""
        return []
