"""The pages of the examples: what their READMEs say, followed by their files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

EXAMPLES: Final = Path(__file__).parents[2] / "examples"

_LANGUAGES: Final = {".py": "python", ".sql": "sql+jinja", ".yml": "yaml"}
_FILE: Final = re.compile(r"\]\((?!\.|[a-z]+:)([\w/]+\.(?:py|sql|yml))\)")
_PAGE: Final = re.compile(r"\]\((?:\.\./)?(examples/)?(\w+)/README\.md")


def pages() -> dict[str, str]:
    """The pages, by the files that MkDocs makes of them."""
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    result = {"examples/index.md": _PAGE.sub(r"](\2.md", index)}
    for readme in sorted(EXAMPLES.glob("*/README.md")):
        name = readme.parent.name
        text = readme.read_text(encoding="utf-8").replace("](../../docs/", "](../")
        files = "\n\n".join(_files(readme.parent))
        result[f"examples/{name}.md"] = f"{_FILE.sub(_to_heading, text)}\n\n{files}\n"
    return result


def linked(markdown: str) -> str:
    """The text of a page beside the examples, with links to their pages."""
    markdown = re.sub(r"\]\((\.\./)?examples/README\.md", "](examples/index.md", markdown)
    return _PAGE.sub(lambda m: f"](examples/{m[2]}.md" if m[1] else m[0], markdown)


def _files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in _LANGUAGES:
            name, text = path.relative_to(folder), path.read_text(encoding="utf-8")
            yield f"## {name.as_posix()}\n\n```{_LANGUAGES[path.suffix]}\n{text}```"


def _to_heading(match: re.Match[str]) -> str:
    return f"](#{re.sub('[^a-z_]', '', match[1])})"
