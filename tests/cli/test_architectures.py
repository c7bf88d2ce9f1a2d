"""The command `architectures`: what it lists is the catalogue, and what it shows can be read back."""

import json
from pathlib import Path

import pytest

from modelwright.cli.main import main
from modelwright.networks.catalogue import architecture, architecture_names


def test_the_list_is_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["architectures", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == list(architecture_names())


@pytest.mark.parametrize("words", [["vit-*"], ["list", "vit-*"]])
def test_a_pattern_narrows_the_list(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["architectures", *words]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["vit-ti-16", "vit-s-16", "vit-b-16", "vit-l-16"]


@pytest.mark.parametrize("form", ["toml", "json"])
def test_what_is_shown_can_be_saved_and_read_back(
    form: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["architectures", "show", "efficientnet-x-b0", f"--{form}"]) == 0
    file = tmp_path / f"mine.{form}"
    file.write_text(capsys.readouterr().out)
    assert architecture(str(file)) == architecture("efficientnet-x-b0")
    assert main(["architectures", "show", str(file)]) == 0


@pytest.mark.parametrize(
    ("words", "lesson"),
    [
        (["nothing-*"], "must be a known name"),
        (["show"], "show and one name"),
        (["show", "resnet50"], "resnet-50"),
        (["show", "nowhere.toml"], "nowhere.toml"),
        (["a", "b"], "show and one name"),
    ],
)
def test_a_wrong_word_is_refused_with_the_way_out(
    words: list[str], lesson: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["architectures", *words]) == 2
    assert lesson in capsys.readouterr().err
