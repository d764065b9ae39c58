"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

usage: lowest.py [EXTRA ...]   the project's own dependencies, and those of these extras
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]*\])?(>=|==)(?P<version>[\w.]+)(,<[\w.]+)?")


def main() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lowest: dict[str, str] = {}
    for text in [
        *project["dependencies"],
        *(text for name in sys.argv[1:] for text in extras[name]),
    ]:
        match = REQUIREMENT.fullmatch(text)
        if match is None:
            sys.exit(f"pyproject.toml: {text!r} has no lower bound: write NAME>=VERSION")
        lowest[match["name"]] = match["version"]
    for name, version in lowest.items():
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
