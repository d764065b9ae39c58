"""An extension of Griffe, which reads the code for mkdocstrings: docstrings as Markdown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import griffe

sys.path.insert(0, str(Path(__file__).parents[2]))  # Griffe loads this file by its path

from docs.generate.markdown import prose


class Roles(griffe.Extension):
    """Turns references such as ``:class:`Settings``` into code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = prose(obj.docstring.value)
