"""The site of the documentation: it builds, has every page, and asks no other host for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest
from markdown_it import MarkdownIt

import fleet_q
from docs.generate import python
from docs.generate.markdown import indent_lists
from tests.docs import DOCS, ROOT, text_of

MENTIONED: Final = {
    "www.w3.org", "lunrjs.com", "tartarus.org", "bit.ly", "clipboardjs.com", "fontawesome.com",
}  # fmt: skip
"""Hosts that the theme's scripts and images name in comments and as namespaces."""

_ADDRESS: Final = re.compile(r"(?:https?:)?//([a-z][\w.-]+\.[a-z]{2,})")
_TAGS: Final = re.compile(r"<(ul|ol|li|table|tr|pre|h2|h3)[ >]")


class Resources(HTMLParser):
    """The addresses that a browser loads by itself when it shows a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {"src", "srcset", "data", "poster"} | ({"href"} if tag != "a" else set())
        self.addresses += [value for name, value in attrs if name in names and value]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.mark.slow
def test_site_refers_to_no_other_host(site: Path) -> None:
    addresses = [
        address for page in site.rglob("*.html") for address in Resources(text_of(page)).addresses
    ]
    assert addresses
    assert not [address for address in addresses if _ADDRESS.match(address)]
    files = [file for kind in ("js", "css", "svg") for file in site.rglob(f"*.{kind}")]
    named = {host for file in files for host in _ADDRESS.findall(text_of(file))}
    assert named <= MENTIONED


@pytest.mark.slow
def test_every_document_and_public_name_has_its_place_in_the_site(site: Path) -> None:
    assert {path.stem for path in DOCS.glob("*.md")} <= {path.stem for path in site.glob("*.html")}
    reference = text_of(site / "reference" / "python.html")
    assert not [name for name in fleet_q.__all__ if f'id="fleet_q.{name}"' not in reference]


@pytest.mark.slow
def test_pages_have_the_lists_and_tables_of_their_documents(site: Path) -> None:
    """The site's Markdown is stricter than GitHub's about blank lines and indentation."""
    parser = MarkdownIt("commonmark").enable("table")
    for document in DOCS.glob("*.md"):
        if document.stem == "architecture":
            continue  # its diagrams are tables in the site
        article = text_of(site / f"{document.stem}.html").partition("<article")[2]
        expected = Counter(_TAGS.findall(parser.render(text_of(document))))
        assert Counter(_TAGS.findall(article.partition("</article>")[0])) == expected, document.name


def test_internal_members_that_the_reference_leaves_out_exist() -> None:
    members = {name for kind in public_classes() for name in dir(kind)}
    assert set(python.INTERNAL.split("|")) <= members


def public_classes() -> Iterator[type]:
    for names in python.groups().values():
        for name in names:
            module, _, attribute = name.rpartition(".")
            value = getattr(import_module(module or "fleet_q"), attribute)
            if isinstance(value, type):
                yield value


def test_paragraph_of_a_list_item_is_indented_as_the_site_needs_it() -> None:
    assert indent_lists("1. one\n\n   more\n2. two\n\nend\n") == (
        "1. one\n\n    more\n\n2. two\n\nend\n"
    )
