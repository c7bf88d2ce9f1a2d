"""The language of spaces: what is written once for all stages or blocks, and mistakes that are told where they are."""

import sys
import types
from importlib.metadata import EntryPoint
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright import registry
from modelwright.errors import RecordError, UnknownNameError
from modelwright.records import Choice, Space
from modelwright.records.codec import to_json, to_toml
from modelwright.registry import Registry
from modelwright.search.space import Product, catalogue, parse_space, space, space_from, space_names
from modelwright.search.spaces import SPACES

TOP = """
name = "mine"
stages = 3
"""

FUSED = """
[[choice]]
name = "fused"
per = "stage"
values = [false, true]
"""


FLAT = Space("mine", tuple(Choice(f"stages.{n}.fused", (False, True)) for n in (1, 2, 3)), fixed={"stages": 3})


def choice(text: str) -> str:
    return "[[choice]]\n" + text.replace("; ", "\n") + "\n"


def names(text: str) -> list[str]:
    return [choice.name for choice in parse_space(text).choices]


def test_a_choice_is_made_once_or_for_every_stage() -> None:
    text = TOP + choice('name = "resolution"; values = [16, 32]') + FUSED
    assert names(text) == ["resolution", "stages.1.fused", "stages.2.fused", "stages.3.fused"]
    assert Product(parse_space(text)).size == 2 * 2**3


def test_stages_may_share_a_choice_or_lack_it() -> None:
    shared = TOP + choice('name = "kernel"; per = "stage"; values = [3, 5]; share = [[1, 2], [3]]')
    assert names(shared) == ["stages.1-2.kernel", "stages.3.kernel"]
    apart = TOP + choice('name = "kernel"; per = "stage"; values = [3, 5]; share = [[1, 3]]')
    assert names(apart) == ["stages.1+3.kernel"]
    some = TOP + choice('name = "kernel"; per = "stage"; values = [3, 5]; stages_only = [2, 3]')
    assert names(some) == ["stages.2.kernel", "stages.3.kernel"]


def test_a_stage_may_have_values_of_its_own() -> None:
    text = TOP + choice('name = "kernel"; per = "stage"; values = [3, 5]; override = { 2 = [3, 5, 7] }')
    assert [choice.values for choice in parse_space(text).choices] == [(3, 5), (3, 5, 7), (3, 5)]


def test_a_condition_follows_its_stage() -> None:
    text = (
        TOP
        + FUSED
        + choice('name = "expansion"; per = "stage"; values = [4, 6]; when = { "stages.{stage}.fused" = [true] }')
    )
    late = parse_space(text).choices[3:]
    assert [choice.when for choice in late] == [{f"stages.{stage}.fused": (True,)} for stage in (1, 2, 3)]
    assert Product(parse_space(text)).size == (1 + 2) ** 3


def test_a_condition_on_a_shared_choice_finds_it() -> None:
    shared = FUSED + "share = [[1, 2], [3]]\n"
    late = 'name = "expansion"; per = "stage"; values = [4, 6]; when = { "stages.{stage}.fused" = [true] }'
    found = parse_space(TOP + shared + choice(late)).choices[2:]
    assert [list(choice.when) for choice in found] == [["stages.1-2.fused"], ["stages.1-2.fused"], ["stages.3.fused"]]
    with pytest.raises(RecordError, match="stages that share a choice must share what it depends on"):
        parse_space(TOP + shared + choice(late + "; share = [[1, 3]]"))


def test_a_block_is_chosen_only_where_the_stage_has_it() -> None:
    """Of a stage of 1 to 3 blocks with 2 kernels each there are 2 + 4 + 8 forms."""
    text = (
        TOP
        + choice('name = "repeats"; per = "stage"; values = [1, 2, 3]')
        + choice('name = "kernel"; per = "block"; values = [3, 5]')
    )
    found = parse_space(text)
    assert Product(found).size == (2 + 4 + 8) ** 3
    third = next(choice for choice in found.choices if choice.name == "stages.2.blocks.3.kernel")
    assert third.when == {"stages.2.repeats": (3,)}
    for point in Product(found).sample(np.random.default_rng(0), 20):
        for stage in (1, 2, 3):
            blocks = [name for name in point if name.startswith(f"stages.{stage}.blocks.")]
            assert len(blocks) == point[f"stages.{stage}.repeats"]


def test_blocks_of_a_stage_that_may_be_missing_go_with_it() -> None:
    text = (
        TOP
        + FUSED
        + choice('name = "repeats"; per = "stage"; values = [1, 2]; when = { "stages.{stage}.fused" = [true] }')
        + choice('name = "kernel"; per = "block"; values = [3, 5]')
    )
    assert Product(parse_space(text)).size == (1 + 2 + 4) ** 3


def test_blocks_whose_number_is_fixed_are_always_there() -> None:
    text = TOP + "[fixed]\nrepeats = [1, 2, 3]\n" + choice('name = "kernel"; per = "block"; values = [3, 5]')
    found = parse_space(text)
    assert not any(choice.when for choice in found.choices)
    assert Product(found).size == 2**6


def test_a_fixed_list_is_one_value_a_stage() -> None:
    found = parse_space(TOP + '[fixed]\nstride = [1, 2, 2]\nactivation = "relu"\n' + FUSED)
    strides = {"stages.1.stride": 1, "stages.2.stride": 2, "stages.3.stride": 2}
    assert found.fixed == {"stages": 3, "activation": "relu", **strides}


def test_whole_numbers_among_fractions_are_fractions() -> None:
    [found] = parse_space(TOP + choice('name = "squeeze"; values = [0, 0.25]')).choices
    assert [type(value) for value in found.values] == [float, float]


SUGAR = st.fixed_dictionaries(
    {"values": st.sampled_from([[3, 5], [0.5, 1.0], ["relu", "swish"], [False, True]])},
    optional={"per": st.sampled_from(["network", "stage"]), "override": st.just({"2": [7]})},
).filter(lambda wish: "override" not in wish or (wish.get("per") == "stage" and wish["values"] == [3, 5]))


@given(wishes=st.lists(SUGAR, min_size=1, max_size=4))
@settings(max_examples=40)
def test_a_flat_space_is_written_and_read_alike(wishes: list[dict]) -> None:
    written = {"name": "mine", "stages": 3, "choice": [{"name": f"c{n}", **wish} for n, wish in enumerate(wishes)]}
    found = space_from(written)
    assert parse_space(to_toml(found)) == found
    assert parse_space(to_json(found).decode(), form="json") == found


@pytest.mark.parametrize(("name", "form"), list(product(space_names(), ("toml", "json"))))
def test_a_named_space_survives_paper(name: str, form: str, tmp_path: Path) -> None:
    found = space(name)
    file = tmp_path / f"mine.{form}"
    file.write_text(to_toml(found) if form == "toml" else to_json(found).decode(), encoding="utf-8")
    assert space(str(file)) == found
    assert found.name == name
    assert found.source


def test_names_and_files_that_are_not_there_are_told() -> None:
    with pytest.raises(UnknownNameError, match=r"space must be a known name, but got 'efficientnetx'\. Did you"):
        space("efficientnetx")
    with pytest.raises(RecordError, match=r"nowhere\.toml: a file of a search space must be readable text"):
        space("nowhere.toml")


def test_other_packages_add_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their rows lead to functions that return a space, or the text of one."""
    stranger = EntryPoint("theirs", f"{__name__}:theirs", "modelwright.spaces")
    flat = EntryPoint("flat", f"{__name__}:flat", "modelwright.spaces")
    monkeypatch.setitem(sys.modules, __name__, types.SimpleNamespace(theirs=lambda: TOP + FUSED, flat=lambda: FLAT))
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: [stranger, flat])
    monkeypatch.setattr(catalogue, "spaces", Registry("search space", SPACES, group="modelwright.spaces"))
    assert space("theirs") == parse_space(TOP + FUSED)
    assert space("flat") == FLAT
    assert space_names() == (*SPACES, "theirs", "flat")


KERNEL = 'name = "kernel"; values = [3, 5]'
MISTAKES = {
    "twice": (choice(KERNEL) * 2, r"choice 'kernel', key 'name': a choice must be named once, but got 'kernel'"),
    "a stage's twice": (FUSED * 2, r"key 'name': a choice must be named once, but got 'stages\.1\.fused'"),
    "a later choice": (
        choice(KERNEL + "; when = { fused = [true] }") + choice('name = "fused"; values = [false, true]'),
        r"choice 'kernel', key 'when': a condition must name an earlier choice, but got 'fused'. Known here: none yet",
    ),
    "a value that is not there": (
        FUSED + choice(KERNEL + '; when = { "stages.1.fused" = ["yes"] }'),
        r"choice 'kernel', when: .* name values of 'stages.1.fused', but got 'yes'. They are False, True",
    ),
    "unsorted": (choice('name = "kernel"; values = [5, 3]'), r"'kernel', values: numbers must rise.* Write \[3, 5\]"),
    "repeated": (choice('name = "act"; values = ["relu", "relu"]'), "each value must stand once"),
    "mixed": (choice('name = "kernel"; values = [3, "five"]'), "all values must be of one kind, not numbers and words"),
    "no values": (choice('name = "kernel"; values = []'), r"key 'choice\[0\]\.values'"),
    "an unknown key": (choice(KERNEL + "; pre = 1"), r"key 'choice\[0\]': object contains unknown field `pre`"),
    "an unknown per": (choice(KERNEL + '; per = "layer"'), r"key 'choice\[0\]\.per': invalid enum value 'layer'"),
    "a stage too far": (
        choice(KERNEL + '; per = "stage"; stages_only = [4]'),
        r"key 'stages_only': a stage must be from 1 to 3, but got 4",
    ),
    "a stage that is no number": (
        choice(KERNEL + '; per = "stage"; override = { two = [3] }'),
        r"key 'override': a stage must be from 1 to 3, but got 0",
    ),
    "a stage shared twice": (
        choice(KERNEL + '; per = "stage"; share = [[1, 2], [2, 3]]'),
        r"key 'share': each stage must stand once, but got 2",
    ),
    "values for a stage without": (
        choice(KERNEL + '; per = "stage"; stages_only = [1]; override = { 2 = [3] }'),
        r"key 'override': only a stage that has the choice can have values of its own, but got 2",
    ),
    "a share of the network": (choice(KERNEL + "; share = [[1, 2]]"), "key 'share': `share` needs per = \"stage\""),
    "blocks of no stage": (
        choice(KERNEL + '; per = "block"'),
        r"key 'depth': a choice per block needs an earlier choice, .* how many blocks stage 1 has, but got 'repeats'",
    ),
    "chosen and fixed": ("[fixed]\nkernel = 3\n" + choice(KERNEL), "what is chosen must not be fixed too, but got 3"),
    "a short list": ("[fixed]\nstride = [1, 2]\n" + FUSED, r"fixed, key 'stride': a list must hold one value for each"),
    "no module": (
        'makes = "modelwright.nothing:make"\n' + FUSED,
        r"key 'makes': the address must lead to a function, but got 'modelwright.nothing:make'. .*must be importable",
    ),
    "no function": (
        'makes = "modelwright.search.spaces.mbconv:nothing"\n' + FUSED,
        "key 'makes': the address must lead to a function.*attribute must exist",
    ),
    "something else": (
        'makes = "modelwright.search.spaces.mbconv:KNOWN"\n' + FUSED,
        "key 'makes': the address must lead to a function.*There stands frozenset",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_file_key_rule_and_value(mistake: str) -> None:
    text, error = MISTAKES[mistake]
    with pytest.raises(RecordError, match=error) as caught:
        parse_space(TOP + text, where="mine.toml")
    assert str(caught.value).startswith("mine.toml")


def test_choices_per_stage_need_stages() -> None:
    with pytest.raises(RecordError, match="choices per stage or block need `stages` at the top of the file"):
        parse_space('name = "mine"\n' + FUSED)


@pytest.mark.parametrize(("text", "form"), [("name = ", "toml"), ("{", "json")])
def test_what_is_no_text_of_its_form_is_refused(text: str, form: str) -> None:
    with pytest.raises(RecordError, match=f"mine: the text must be valid {form.upper()}"):
        parse_space(text, where="mine", form=form)  # type: ignore[arg-type]


def test_python_says_the_same_as_a_file() -> None:
    written = {"name": "mine", "stages": 3, "choice": [{"name": "fused", "per": "stage", "values": [False, True]}]}
    assert space_from(written) == parse_space(TOP + FUSED)
    assert space_from(written) == FLAT
