"""What the guide shows is run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.training import load_weights

GUIDE = Path(__file__).parents[2] / "docs" / "training.md"


def test_the_guides_python_runs_and_goes_on_from_its_checkpoint(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    [block] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, object] = {}
    exec(compile(block, str(GUIDE), "exec"), found)
    accuracy, complete = capsys.readouterr().out.split()
    assert (0 < float(accuracy) <= 1, complete) == (True, "False")
    assert [epoch.number for epoch in found["trained"].learning.epochs] == [1, 2]
    load_weights(found["trained"].network, tmp_path / "digits.safetensors")
    exec(compile(block, str(GUIDE), "exec"), found)
    assert [epoch.number for epoch in found["trained"].learning.epochs] == [1, 2, 3]


def test_the_room_is_light_until_a_name_is_used() -> None:
    look = "import sys, modelwright.training as t; print('torch' in sys.modules, 'DATA' in dir(t))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
    with pytest.raises(ImportError, match="nothing"):
        from modelwright.training import nothing  # noqa: F401
