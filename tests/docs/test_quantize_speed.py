"""The page on the speed of quantized networks is made from its results, and what its prose says of them is so."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "quantize-speed.md"


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "generate_quantize_speed.py"))


def test_the_page_is_made_from_the_results(generator: dict[str, Any]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert generator["page"](text) == text, "run python docs/generate_quantize_speed.py"
    assert all(f"<!-- {part} -->" in text for part in generator["PARTS"])


def test_every_network_meets_every_other_quantizer_in_every_runtime(generator: dict[str, Any]) -> None:
    cells = generator["cells"]()
    assert len({one["network"] for one, _, _ in cells}) == 6
    assert len(cells) == 18
    wanted = {"openvino": 1, "onnxruntime": 2, "inductor": 3}
    assert all(len(others) >= wanted[one["runtime"]] for one, others, _ in cells)


def test_a_mix_is_faster_and_nearer_than_everything_in_whole_numbers(generator: dict[str, Any]) -> None:
    rows = [row for row in generator["read"](generator["MIXES"]) if row["network"] == "efficientnet-b0"]
    whole = [row for row in rows if row["candidate"].startswith("int8 rest")]
    least, best = min(float(row["latency_s"]) for row in whole), max(float(row["sqnr_db"]) for row in whole)
    mixes = [row for row in rows if row["candidate"].startswith("mix")]
    assert any(float(row["latency_s"]) < least and float(row["sqnr_db"]) > best for row in mixes)


def test_switching_layers_agrees_with_converting_them(generator: dict[str, Any]) -> None:
    rows = [row for row in generator["read"](generator["SENSITIVITY"]) if row["converted_db"]]
    assert len(rows) >= 20
    assert max(abs(float(row["sqnr_db"]) - float(row["converted_db"])) for row in rows) < 0.2
