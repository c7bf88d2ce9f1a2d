"""The guide to serving says what is true: its Python runs against a server, its tables name what there is."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.cli import serve_deploy, serve_up
from modelwright.serve.aws.autoscaling import OPERATIONS as SCALING
from modelwright.serve.aws.cloudwatch import OPERATIONS as WATCHING
from modelwright.serve.aws.sagemaker import OPERATIONS as MODELS
from modelwright.serve.aws.sns import OPERATIONS as TOPICS
from modelwright.serve.packing import pack

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_its_python_prints_what_stands_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (printed,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    pack(None, Path("lexrank.tar.gz"), script="extractive")
    words = (sys.executable, "-m", "modelwright", "serve", "up", "--data", "service", "--port", "0")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = re.search(r"http://\S+", server.stdout.readline())[0]
            for name, value in (("AWS_ENDPOINT_URL", url), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")):
                monkeypatch.setitem(os.environ, name, value)
            exec(compile(block, "serve.md", "exec"), {})
        finally:
            server.terminate()
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("title", "action"), [("`modelwright serve up`", serve_up), ("`modelwright serve deploy`", serve_deploy)]
)
def test_its_tables_name_every_option(title: str, action: object) -> None:
    parser = argparse.ArgumentParser(add_help=False)
    action.add_arguments(parser)
    given = [option for one in parser._actions for option in one.option_strings]  # argparse has no public list
    rows = [line.split("|")[1] for line in section(title).splitlines() if line.startswith("| `")]
    named = [option for row in rows for option in re.findall(r"`(--[a-z-]+)`", row)]
    assert sorted(named) == sorted(given)


def test_its_table_names_every_operation() -> None:
    rows = {line.split("|")[1].strip(): line.split("|")[2] for line in PAGE.splitlines() if line.startswith("| ")}
    short = {"sagemaker": MODELS, "application-autoscaling": SCALING, "cloudwatch": WATCHING, "sns": TOPICS}
    for service, operations in short.items():
        row = rows[service]
        named = set(re.findall(r"\w+", row))
        named |= {f"Set{name.removeprefix('Set')}" for name in named}
        named |= {f"Get{name.removeprefix('Set')}" for name in named if name.startswith("Set")}
        if service == "sagemaker":
            for kind in ("Model", "EndpointConfig", "Endpoint"):
                named |= {f"Describe{kind}", f"List{kind}s", f"Delete{kind}"}
        assert set(operations) <= named, service


def test_its_table_names_every_route() -> None:
    source = (ROOT / "src" / "modelwright" / "serve" / "console" / "app.py").read_text(encoding="utf-8")
    found = re.findall(r'Route\("(/-/[^"]+)", routes\.guarded\(routes\.\w+\)(?:, methods=\["(\w+)"\])?', source)
    routes = {(method or "GET", re.sub(r":\w+", "", path)) for path, method in found}
    told = set(re.findall(r"^\| `(GET|POST|DELETE) (/-/[^`]+)`", PAGE, re.MULTILINE)) - {("GET", "/-/")}
    assert told == routes


def test_it_names_tests_that_are_there() -> None:
    for path in re.findall(r"\]\(\.\./(tests/[^)]+)\)", PAGE):
        assert (ROOT / path).is_file()
