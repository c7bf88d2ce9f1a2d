"""The skeleton of every page: one HTML file with its style, its script and its charts inside, which asks no host.

The page's own policy forbids what it does not need: scripts run only if their hash is listed, and nothing is loaded.
"""

import base64
import functools
import hashlib
from collections.abc import Sequence
from importlib import resources

from modelwright.report.markup import escape, section

_FILES = resources.files("modelwright.report")


def page(title: str, lead: str, sections: Sequence[str], provenance: str, *, made_by: str = "") -> str:
    """A whole page.

    Args:
        title: its name and its first heading.
        lead: one sentence below it.
        sections: HTML, as `markup.section` makes it.
        provenance: HTML that says how the numbers were got.
        made_by: the program and the command line that wrote it.
    """
    library, script, style = asset("vendor/echarts.min.js"), asset("page.js"), asset("style.css")
    hashes = " ".join(f"'sha256-{_hash(text)}'" for text in (library, script))
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    footer = f"<footer>{escape(made_by)}</footer>\n" if made_by else ""
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f'<header><h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p></header>\n'
        '<noscript><p class="note">The figures need scripts, which are switched off here. '
        "Every figure has its numbers in a table below it.</p></noscript>\n"
        f"{''.join(sections)}{section('How this was got', provenance)}{footer}</main>\n"
        f"<script>{library}</script>\n<script>{script}</script>\n</body>\n</html>\n"
    )


@functools.cache
def asset(name: str) -> str:
    """A file that lies beside this module and is copied into every page."""
    return _FILES.joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
