"""A lifecycle as a table: from each status, which events lead to which."""

from __future__ import annotations

import re
from collections import defaultdict

from docs.generate.markdown import table

_ARROW = re.compile(r"^\s*(\S+) --> (\S+?)(?:: (\w+))?$", re.MULTILINE)


def matrix(mermaid: str) -> str:
    """The table of a Mermaid state diagram; GitHub draws the diagram itself."""
    events = defaultdict[tuple[str, str], list[str]](list)
    statuses: list[str] = []
    for source, target, event in _ARROW.findall(mermaid):
        events[source, target].append(f"*{event}*" if event else "begins here")
        statuses += [s for s in (source, target) if s not in statuses and s != "[*]"]
    targets = [s for s in statuses if any(target == s for _, target in events)]
    rows = [
        (name, *(", ".join(events.get((source, target), [])) for target in targets))
        for source, name in (("[*]", ""), *((s, f"**{s}**") for s in statuses))
    ]
    return table(("from", *(f"to {target}" for target in targets)), rows)
