"""The guide to models that are served: its program is run, and gives what the page shows."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "serve-models.md").read_text(encoding="utf-8")


def test_the_program_prints_what_the_page_shows(tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    [shown] = re.findall(r"```text\n(.*?)```", GUIDE, re.DOTALL)
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout == shown, run.stderr
