"""Hooks of MkDocs: add generated pages, and turn links of the repository into links of the site."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # MkDocs loads this file by its path

from docs.generate import command_line, events, examples, http, lifecycle, python, settings  # noqa: E402
from docs.generate.markdown import indent_lists  # noqa: E402

PACKAGES: Final = ROOT / "build" / "docs"
"""Where mkdocstrings finds the packages; it reads their files and imports nothing."""

_MERMAID: Final = re.compile(r"```mermaid\n(.*?)\n```", re.DOTALL)
_OTHER_HOST: Final = re.compile(r"https://(unpkg|api\.github)\.com/[^\"'`]*")
"""Where the theme's script would load what draws Mermaid diagrams, which are tables here, and the
figures of a repository."""


def on_startup(**_: Any) -> None:
    """Lay the packages out as they are installed, by links to their folders."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    for name, folder in sorted(project["package-dir"].items(), key=lambda item: item[0].count(".")):
        place = PACKAGES.joinpath(*name.split("."))
        place.parent.mkdir(parents=True, exist_ok=True)
        if "." in name:
            _link(place, ROOT / folder)
        else:  # a package of its own, whose parts are in other folders
            place.mkdir(exist_ok=True)
            for file in (ROOT / folder).glob("*.py"):
                _link(place / file.name, file)


def _link(place: Path, target: Path) -> None:
    place.unlink(missing_ok=True)
    place.symlink_to(target)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        "index.md": (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "]("),
        "deploy.md": (ROOT / "deploy" / "README.md").read_text(encoding="utf-8"),
        "reference/python.md": python.page(),
        "reference/http.md": http.page(),
        "reference/command-line.md": command_line.page(),
        "reference/settings.md": settings.page(),
        "reference/events.md": events.page(),
    }
    pages |= examples.pages()
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Turn links to files of the repository into links to pages, and diagrams into tables."""
    markdown = examples.linked(markdown)
    markdown = re.sub(r"\]\((\.\./)?deploy/README\.md", "](deploy.md", markdown)
    markdown = markdown.replace("](../README.md", "](index.md").replace("](../docs/", "](")
    return indent_lists(_MERMAID.sub(lambda match: lifecycle.matrix(match[1]), markdown))


def on_post_page(output: str, **_: Any) -> str:
    """Name the theme's dialog for the search, for those who hear the page."""
    return output.replace('role="dialog">', 'role="dialog" aria-label="Search">')


def on_post_build(config: MkDocsConfig) -> None:
    """Take the addresses of other hosts out of the theme's script, and delete what no page needs:
    the search in other languages, and the sources of scripts."""
    folder = Path(config.site_dir, "assets", "javascripts")
    for script in folder.glob("bundle.*.js"):
        text = script.read_text(encoding="utf-8")
        script.write_text(_OTHER_HOST.sub("", text), encoding="utf-8")
    shutil.rmtree(folder / "lunr", ignore_errors=True)
    for source_map in folder.rglob("*.map"):
        source_map.unlink()
