"""Pages: whole in one file, closed to the outside, deaf to what is smuggled in, and holding every number they draw."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib import resources

import msgspec
import pytest

from modelwright.hardware import platform
from modelwright.hardware.model import peak_rate
from modelwright.hardware.whatif import Setting, sweep
from modelwright.records import Estimate, Findings, Platform, Workload
from modelwright.report import compare_page, cost_page, search_page, whatif_page
from modelwright.report.bounds import met, tinted
from modelwright.report.markup import escape, script_json
from modelwright.report.roofline import roofline

ECHARTS = "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"
PAGES = ("cost", "set", "sweep", "grid", "search", "compare")
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"


class Reader(HTMLParser):
    """Collects what a browser would find: tags with attributes, scripts, and the text between."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.styles: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs).get("type"), ""))

    def handle_data(self, data: str) -> None:
        last = self.tags[-1][0] if self.tags else ""
        if self.cdata_elem == "script":
            kind, before = self.scripts[-1]
            self.scripts[-1] = (kind, before + data)
        elif last == "style" and self.cdata_elem == "style":
            self.styles.append(data)
        else:
            self.text += data


@pytest.fixture(scope="module")
def platforms(costs: list[Estimate]) -> list[Platform]:
    return [platform(name) for name in dict.fromkeys(cost.platform for cost in costs)]


@pytest.fixture(scope="module")
def pages(
    costs: list[Estimate], platforms: list[Platform], small: Workload, study: Callable[..., Findings]
) -> dict[str, str]:
    chip = platform("tpu-v4i")
    knobs = {"hbm.bandwidth": ["0.5x", "1x", "2x"], "vector.peak.fp32": ["1x", "2x"]}
    once = sweep(small, chip, Setting(64), changes={"hbm.bandwidth": "2x"})
    return {
        "cost": cost_page(costs, platforms, made_by="the test"),
        "set": whatif_page([once], chip),
        "sweep": whatif_page([sweep(small, chip, Setting(64), knobs={"hbm.bandwidth": ["1x", "2x"]})], chip),
        "grid": whatif_page([sweep(small, chip, Setting(64), knobs=knobs)], chip),
        "search": search_page(study(), platform=platform("h200"), made_by="the test"),
        "compare": compare_page(study(), study(seed=3), names=("one", "other")),
    }


def options(page: str) -> list[dict]:
    return [json.loads(text) for kind, text in Reader(page).scripts if kind == "application/json"]


def test_a_cost_page_names_every_network_and_platform(
    pages: dict[str, str], costs: list[Estimate], platforms: list[Platform]
) -> None:
    text = Reader(pages["cost"]).text
    assert all(cost.architecture in text and cost.platform in text for cost in costs)
    assert all(found.title in text for found in platforms)
    assert "mystery" in text, "an operator that no rule describes is named"


def test_a_whatif_page_names_what_was_changed(pages: dict[str, str]) -> None:
    for name in ("set", "sweep", "grid"):
        text = Reader(pages[name]).text
        assert all(word in text for word in ("hbm.bandwidth", "2x", "Google TPU v4i", "small", "mystery"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_no_host_for_anything(pages: dict[str, str], name: str) -> None:
    reader = Reader(pages[name])
    loading = {"src", "href", "srcset", "data", "poster", "action", "background"}
    assert [(tag, held) for tag, held in reader.tags if loading & held.keys()] == []
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in reader.tags}
    assert not any(re.search(r"url\(|@import|https?:", style) for style in reader.styles)
    policy = next(held["content"] or "" for tag, held in reader.tags if tag == "meta" and "http-equiv" in held)
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("name", PAGES)
def test_only_the_scripts_that_the_policy_lists_are_there(pages: dict[str, str], name: str) -> None:
    reader = Reader(pages[name])
    policy = next(held["content"] or "" for tag, held in reader.tags if tag == "meta" and "http-equiv" in held)
    listed = re.findall(r"'sha256-([^']+)'", policy)
    running = [text for kind, text in reader.scripts if kind is None]
    assert [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running] == listed
    assert not any(key.startswith("on") for _, held in reader.tags for key in held)


@pytest.mark.parametrize("name", PAGES)
def test_every_figure_is_told_in_words_and_numbers(pages: dict[str, str], name: str) -> None:
    figures = re.findall(r"<figure>.*?</figure>", pages[name], re.DOTALL)
    assert figures
    for figure in figures:
        assert re.search(r'role="img" aria-label="[^"]{10,}"', figure)
        assert re.search(r"<details>.*<table>.*<td", figure, re.DOTALL)


@pytest.mark.parametrize("name", PAGES)
def test_the_style_sheet_has_every_colour_and_the_script_every_function(pages: dict[str, str], name: str) -> None:
    files = resources.files("modelwright.report")
    colours = set(re.findall(r"^\s*(--[\w-]+):", files.joinpath("style.css").read_text(encoding="utf-8"), re.MULTILINE))
    script = files.joinpath("page.js").read_text(encoding="utf-8")
    functions = set(re.findall(r"^    (\w+):", script[script.index("const FUNCTIONS") :], re.MULTILINE))
    assert set(re.findall(r"var\((--[\w-]+)\)", pages[name])) <= colours

    def asked(option: object) -> set[str]:
        if isinstance(option, dict):
            own = {option["$text"]} if "$text" in option else set()
            return own.union(*(asked(value) for value in option.values()))
        return set().union(*(asked(value) for value in option)) if isinstance(option, list) else set()

    found = options(pages[name])
    assert found
    assert set().union(*(asked(option) for option in found)) <= functions


def test_what_is_smuggled_in_stays_text(costs: list[Estimate]) -> None:
    evil = [msgspec.structs.replace(cost, architecture=EVIL, unknown=(EVIL,)) for cost in costs[:2]]
    chip = msgspec.structs.replace(platform("tpu-v3"), title=EVIL, notes=EVIL, sources={"matrix": EVIL, "launch": EVIL})
    reader = Reader(cost_page(evil, [chip], made_by=EVIL))
    honest = Reader(cost_page(costs[:2], [platform("tpu-v3")], made_by="the test"))
    assert {tag for tag, _ in reader.tags} == {tag for tag, _ in honest.tags}
    assert [text for kind, text in reader.scripts if kind is None] == [
        text for kind, text in honest.scripts if not kind
    ]
    assert EVIL in reader.text


def test_what_is_smuggled_into_a_study_stays_text(study: Callable[..., Findings]) -> None:
    honest, replace = study(), msgspec.structs.replace
    choice = replace(honest.plan.space.choices[0], name=EVIL, values=(EVIL,))
    evil = replace(
        honest,
        plan=replace(
            honest.plan, data=EVIL, method=EVIL, space=replace(honest.plan.space, name=EVIL, choices=(choice,))
        ),
        trials=tuple(replace(trial, point={EVIL: EVIL}, reason=EVIL, suggested_by=EVIL) for trial in honest.trials),
        family=tuple(replace(member, name=EVIL, files={EVIL: EVIL}) for member in honest.family),
        references=tuple(replace(member, name=EVIL) for member in honest.references),
        reasons=(replace(honest.reasons[0], choice=EVIL, chosen=EVIL, effects={EVIL: (None, 1.0)}, why=EVIL),),
        agreements=(replace(honest.agreements[0], evidence=EVIL),),
        predictions=(replace(honest.predictions[0], name=EVIL),),
        device=replace(honest.device, name=EVIL, versions={EVIL: EVIL}),
        notes=(EVIL,),
    )
    for made in (search_page(evil, made_by=EVIL), compare_page(evil, honest, names=(EVIL, "honest"))):
        told = Reader(made)
        assert {tag for tag, _ in told.tags} <= {tag for tag, _ in Reader(search_page(honest, made_by="us")).tags}
        assert len([text for kind, text in told.scripts if kind is None]) == 2
        assert not any(key.startswith("on") for _, held in told.tags for key in held)
        assert EVIL in told.text


def test_text_survives_escaping() -> None:
    assert html.unescape(escape(EVIL)) == EVIL
    assert json.loads(script_json({"name": EVIL})) == {"name": EVIL}
    assert not re.search(r"[<>&]", script_json(EVIL))


def test_the_vendored_library_is_as_published() -> None:
    folder = resources.files("modelwright.report").joinpath("vendor")
    assert hashlib.sha256(folder.joinpath("echarts.min.js").read_bytes()).hexdigest() == ECHARTS
    assert "Apache License" in folder.joinpath("LICENSE").read_text(encoding="utf-8")
    assert {"NOTICE", "LICENSE-d3"} <= {entry.name for entry in folder.iterdir()}


def test_points_lie_under_the_roof(costs: list[Estimate]) -> None:
    for cost in costs:
        chip = platform(cost.platform)
        highest, bandwidth = max(peak_rate(chip, cost.precision), chip.vector.peak["fp32"]), chip.main_memory.bandwidth
        series = roofline([cost], chip).option["series"]
        points = [point["value"] for one in series if one["type"] == "scatter" for point in one["data"]]
        assert points
        edge = max(x for x, _ in points)
        assert all(rate <= highest * 1.001 for _, rate in points)
        assert all(rate <= x * bandwidth * 1.001 for x, rate in points if x < edge)


def test_colours_lose_no_time(costs: list[Estimate]) -> None:
    for cost in costs:
        held = tinted(cost.bound_s, platform(cost.platform))
        assert sum(held.values()) == pytest.approx(cost.latency_s)
        assert held.keys() == met([(cost.bound_s, platform(cost.platform))]).keys()


def test_bars_are_as_long_as_the_time(costs: list[Estimate], platforms: list[Platform]) -> None:
    """The layer bars of a page add up to the latency of each network on each platform."""
    drawn = [option for option in options(cost_page(costs, platforms)) if option.get("xAxis", {}).get("name") == "time"]
    lengths = [sum(bar["value"] or 0 for one in option["series"] for bar in one["data"]) for option in drawn]
    assert lengths == pytest.approx([cost.latency_s for cost in costs])


def test_a_grid_has_a_cell_for_every_pair(pages: dict[str, str]) -> None:
    (option,) = options(pages["grid"])
    cells = option["series"][0]["data"]
    assert sorted(tuple(cell["value"][:2]) for cell in cells) == [(x, y) for x in range(3) for y in range(2)]
    even = next(cell for cell in cells if cell["value"][:2] == [1, 0])
    assert even["value"][2] == 0
