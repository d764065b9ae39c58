"""A faster ``transform`` of syntax trees.

fakesnow transforms each statement some seventy times, which takes most of the time until a new
statement runs. sqlglot visits the nodes through two generators each time; this loop calls the same
function for the same nodes in the same order, in two thirds of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from sqlglot import Expr, exp


def fast() -> AbstractContextManager[object]:
    """Within this context, trees are transformed by :func:`transform`."""
    return patch.object(exp.Expression, "transform", transform)


def transform(
    self: Expr, fun: Callable[..., Any], *args: object, copy: bool = True, **kwargs: object
) -> Any:
    """Replace each node by the result of ``fun``; the nodes below a new one are not visited."""
    root = None
    nodes = [self.copy() if copy else self]
    while nodes:
        node = nodes.pop()
        parent, key, index = node.parent, node.arg_key, node.index
        new = fun(node, *args, **kwargs)
        if root is None:
            root = new
        elif new is not node and parent is not None and key:
            parent.set(key, new, index)
        if new is not node:
            continue
        for value in reversed(node.args.values()):
            if isinstance(value, list):
                nodes.extend(each for each in reversed(value) if isinstance(each, Expr))
            elif isinstance(value, Expr):
                nodes.append(value)
    return root
