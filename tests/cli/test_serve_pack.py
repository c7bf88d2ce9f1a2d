"""`modelwright serve pack` as it is typed."""

import hashlib
import json
from pathlib import Path

import pytest

from modelwright.cli.main import main

Output = pytest.CaptureFixture[str]


def test_it_tells_the_digest_of_what_it_wrote(tmp_path: Path, capsys: Output) -> None:
    target = tmp_path / "lexrank.tar.gz"
    words = ["serve", "pack", "--script", "extractive", "--requirement", "numpy", "-o", str(target)]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    content = target.read_bytes()
    wanted = {"path": "lexrank.tar.gz", "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert told == wanted
    assert main(words) == 0
    assert wanted["sha256"] in capsys.readouterr().out
    assert target.read_bytes() == content


@pytest.mark.parametrize(
    ("words", "lesson"),
    [
        ([], "config.json"),
        (["nowhere"], "a folder"),
        (["--script", "strange"], "invalid choice"),
        (["--requirement", "numpy"], "requirements must go with --script"),
    ],
)
def test_what_cannot_be_packed_is_refused(tmp_path: Path, capsys: Output, words: list[str], lesson: str) -> None:
    assert main(["serve", "pack", *words, "-o", str(tmp_path / "m.tar.gz")]) == 2
    assert lesson in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
