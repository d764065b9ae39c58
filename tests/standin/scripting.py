"""Parses the body of a procedure in Snowflake Scripting.

Only the constructs that docs/snowflake.md lists are accepted. Each is documented by Snowflake, and
everything else is refused, so that FLEET-Q's procedures contain nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from . import errors
from .datatypes import Type
from .tokens import Reader, Token

ROW_COUNT: Final = "SQLROWCOUNT"
CONTEXT_FUNCTIONS: Final = (
    "CURRENT_SESSION", "CURRENT_TIMESTAMP", "CURRENT_TRANSACTION", "CURRENT_USER", "SYSDATE",
)  # fmt: skip
"""Functions that may be assigned, with their parentheses."""

_STATEMENTS: Final = frozenset(
    ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "CREATE", "ALTER",
     "DROP", "SHOW"]
)  # fmt: skip
_TRANSACTION_ENDS: Final = ("COMMIT", "ROLLBACK")
_OPERATORS: Final = frozenset(["=", "<>", "!=", "<", "<=", ">", ">="])
_LOGIC: Final = frozenset(["AND", "OR", "NOT", "IS"])
_CONSTANTS: Final = frozenset(["NULL", "TRUE", "FALSE"])
_RESERVED: Final = frozenset(
    ["BETWEEN", "CASE", "CAST", "EXISTS", "IN", "LIKE", "ILIKE", "SELECT", "WITH", "FROM"]
)


@dataclass(frozen=True)
class Query:
    """A statement or an expression, with a ``?`` for each variable, whose names follow. ``line``
    and ``position`` are its place in the body."""

    text: str
    names: tuple[str, ...]
    line: int
    position: int


@dataclass(frozen=True)
class Expression(Query):
    """A condition, or a value that is assigned or returned."""

    has_query: bool = False
    """Whether it contains a SELECT, and so is run as a statement."""
    is_query: bool = False
    """Whether it is just one SELECT; its text is then that statement."""


@dataclass(frozen=True)
class Execute:
    """A statement of SQL, or one that begins or ends a transaction."""

    query: Query


@dataclass(frozen=True)
class Declare:
    """A new variable, by DECLARE or LET; ``None`` as value is NULL."""

    name: str
    type: Type
    value: Expression | None
    place: tuple[int, int]


@dataclass(frozen=True)
class DeclareResultSet:
    """A new variable for the rows of a query, which runs when it is assigned."""

    name: str
    query: Query


@dataclass(frozen=True)
class Assign:
    """A new value for a variable."""

    name: str
    value: Expression


@dataclass(frozen=True)
class SelectInto:
    """New values for variables: the columns of the one row of a query."""

    query: Query
    names: tuple[str, ...]


@dataclass(frozen=True)
class If:
    """Conditions, and what to do under the first that is true, or else under none."""

    branches: tuple[tuple[Expression, tuple[Node, ...]], ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True)
class For:
    """What to do for each number from ``start`` to ``end``, which are given as literals."""

    name: str
    start: int
    end: int
    body: tuple[Node, ...]
    place: tuple[int, int]


@dataclass(frozen=True)
class ReturnTable:
    """The end of the procedure, with rows."""

    name: str
    place: tuple[int, int]


@dataclass(frozen=True)
class Return:
    """The end of the procedure, with a value."""

    value: Expression


Node = Execute | Declare | DeclareResultSet | Assign | SelectInto | If | For | ReturnTable | Return


@dataclass(frozen=True)
class Block:
    """A body; ``rolls_back`` says whether a failure runs ROLLBACK before it is raised again."""

    declared: tuple[Declare, ...]
    body: tuple[Node, ...]
    rolls_back: bool


@lru_cache(1_024)
def parse(text: str) -> Block:
    """Parse a body. Raises ``SnowflakeError``."""
    return _Parser(text).block()


class _Parser:
    def __init__(self, text: str) -> None:
        self._in = Reader(text)

    def block(self) -> Block:
        declared: list[Declare] = []
        if self._in.takes("DECLARE"):
            while self._in.token.word != "BEGIN":
                declared.append(self._declaration())
        self._in.expect("BEGIN")
        body = self._nodes("END", "EXCEPTION")
        rolls_back = self._in.takes("EXCEPTION")
        if rolls_back:
            self._in.expect("WHEN", "OTHER", "THEN", "ROLLBACK", ";", "RAISE", ";")
        self._in.expect("END")
        self._in.expect_end()
        return Block(tuple(declared), body, rolls_back)

    def _declaration(self) -> Declare:
        place = self._in.place(self._in.token)
        name, type_ = self._in.name(), Type.read(self._in)
        value = self._value() if self._in.takes("DEFAULT") else None
        self._in.expect(";")
        return Declare(name, type_, value, place)

    def _nodes(self, *ends: str) -> tuple[Node, ...]:
        nodes: list[Node] = []
        while self._in.token.word not in ends:
            nodes.append(self._node())
        return tuple(nodes)

    def _node(self) -> Node:
        first, second = self._in.words(2)
        if second == ":=":
            name = self._in.name()
            self._in.expect(":=")
            node: Node = Assign(name, self._value())
        elif first == "LET":
            node = self._let()
        elif first == "IF":
            node = self._if()
        elif first == "FOR":
            node = self._for()
        elif first == "RETURN":
            node = self._return()
        elif (first, second) == ("BEGIN", "TRANSACTION") or first in _TRANSACTION_ENDS:
            line, position = self._in.place(self._in.token)
            text = "BEGIN TRANSACTION" if first == "BEGIN" else first
            self._in.expect(*text.split())
            node = Execute(Query(text, (), line, position))
        elif first == "SELECT":
            node = self._select(self._until_semicolon())
        elif first in _STATEMENTS:
            node = Execute(self._query(self._until_semicolon()))
        else:
            raise self._in.unexpected(self._in.token, "not a statement that procedures may contain")
        self._in.expect(";")
        return node

    def _select(self, found: Sequence[Token]) -> Node:
        """A SELECT, with the variables that it sets after INTO, if there is one."""
        words = [token.word for token in found]
        if "INTO" not in words:
            return Execute(self._query(found))
        into = words.index("INTO")
        if "FROM" not in words[into:]:
            raise self._in.unexpected(found[into], "expected FROM after the variables of INTO")
        end = words.index("FROM", into)
        names = tuple(words[into + 2 : end : 3])
        if words[into + 1 : end] != [w for name in names for w in (":", name, ",")][:-1]:
            raise self._in.unexpected(found[into], "expected variables with colons after INTO")
        select, source = self._query(found[:into]), self._query(found[end:])
        text = f"{select.text} {source.text}"
        query = Query(text, (*select.names, *source.names), select.line, select.position)
        return SelectInto(query, names)

    def _let(self) -> Node:
        place = self._in.place(self._in.token)
        self._in.expect("LET")
        name = self._in.name()
        if self._in.takes("RESULTSET"):
            self._in.expect(":=")
            return DeclareResultSet(name, self._subquery())
        type_ = Type.read(self._in)
        self._in.expect(":=")
        return Declare(name, type_, self._value(), place)

    def _if(self) -> If:
        self._in.expect("IF")
        branches = [self._branch()]
        while self._in.takes("ELSEIF"):
            branches.append(self._branch())
        otherwise = self._nodes("END") if self._in.takes("ELSE") else ()
        self._in.expect("END", "IF")
        return If(tuple(branches), otherwise)

    def _for(self) -> For:
        place = self._in.place(self._in.token)
        self._in.expect("FOR")
        name = self._in.name()
        self._in.expect("IN")
        start = self._number()
        self._in.expect("TO")
        end = self._number()
        self._in.expect("DO")
        body = self._nodes("END")
        self._in.expect("END", "FOR")
        return For(name, start, end, body, place)

    def _number(self) -> int:
        token = self._in.read()
        if token.kind != "number" or not token.text.isdigit():
            raise self._in.unexpected(token, "expected a number")
        return int(token.text)

    def _branch(self) -> tuple[Expression, tuple[Node, ...]]:
        condition = self._condition()
        self._in.expect("THEN")
        return condition, self._nodes("ELSEIF", "ELSE", "END")

    def _return(self) -> Node:
        place = self._in.place(self._in.token)
        self._in.expect("RETURN")
        if not self._in.takes("TABLE", "("):
            return Return(self._value())
        name = self._in.name()
        self._in.expect(")")
        return ReturnTable(name, place)

    def _value(self) -> Expression:
        """A value to assign or return: one SELECT, a variable, a literal or a context function."""
        if self._is_subquery():
            query = self._subquery()
            return Expression(query.text, query.names, query.line, query.position, True, True)
        line, position = self._in.place(self._in.token)
        text, names = self._operand()
        return Expression(text, names, line, position)

    def _condition(self) -> Expression:
        """A condition, in the parentheses that the documentation requires."""
        line, position = self._in.place(self._in.token)
        self._in.expect("(")
        parts, depth, has_query = ["("], 1, False
        names: list[str] = []
        while depth:
            word = self._in.token.word
            if self._is_subquery():
                query = self._subquery()
                parts.append(f"({query.text})")
                names += query.names
                has_query = True
            elif word in ("(", ")") or word in _OPERATORS or word in _LOGIC:
                depth += (word == "(") - (word == ")")
                parts.append(self._in.read().text)
            else:
                text, found = self._operand()
                parts.append(text)
                names += found
        return Expression(" ".join(parts), tuple(names), line, position, has_query)

    def _operand(self) -> tuple[str, tuple[str, ...]]:
        """A literal, a variable or a context function."""
        token = self._in.read()
        if token.word == "-" and self._in.token.kind == "number":
            return f"-{self._in.read().text}", ()
        if token.kind in ("number", "text") or token.word in _CONSTANTS:
            return token.text, ()
        if token.word in CONTEXT_FUNCTIONS and self._in.takes("(", ")"):
            return f"{token.word}()", ()
        if token.word == ":" and self._in.token.kind == "word":
            token = self._in.read()
        if token.kind != "word" or self._in.token.word == "(" or token.word in _RESERVED:
            raise self._in.unexpected(token, "not an expression that procedures may contain")
        return "?", (token.word,)

    def _is_subquery(self) -> bool:
        return self._in.words(2) in (("(", "SELECT"), ("(", "WITH"))

    def _subquery(self) -> Query:
        """A SELECT in parentheses."""
        if not self._is_subquery():
            raise self._in.unexpected(self._in.token, "expected a SELECT in parentheses")
        self._in.expect("(")
        found: list[Token] = []
        depth = 1
        while True:
            token = self._in.read()
            depth += (token.word == "(") - (token.word == ")")
            if not depth:
                return self._query(found)
            found.append(token)

    def _until_semicolon(self) -> list[Token]:
        found: list[Token] = []
        while self._in.token.word != ";":
            found.append(self._in.read())
        return found

    def _query(self, found: Sequence[Token]) -> Query:
        """A statement with its variables, which are words after a colon."""
        source = self._in.text
        parts: list[str] = []
        names: list[str] = []
        position = found[0].start
        for before, token, after in zip(
            [None, *found], found, [*found[1:], self._in.token], strict=False
        ):
            if token.word == "?":
                raise self._in.unexpected(token, "variables are written with a colon")
            if token.word != ":" or _continues_path(before, token):
                continue
            if after.kind != "word" or after.start != token.end:
                raise self._in.unexpected(token, "expected the name of a variable")
            if before is not None and before.word in ("LIMIT", "INTO"):
                raise self._in.unexpected(token, f"no variable may follow {before.word}")
            parts.append(source[position : token.start])
            parts.append("? " if source[after.end : after.end + 2] == "::" else "?")
            names.append(after.word)
            position = after.end
        parts.append(source[position : found[-1].end])
        return Query("".join(parts), tuple(names), *self._in.place(found[0]))


def _continues_path(before: Token | None, colon: Token) -> bool:
    """Whether a colon is part of a path into a VARIANT, such as ``value:id``."""
    if before is None or before.end != colon.start:
        return False
    return before.kind != "symbol" or before.text in (")", "]")


def check(block: Block, arguments: Iterable[str], returns_table: bool) -> None:
    """Check a body as Snowflake does when the procedure is called: every variable that is used
    anywhere in it is declared before. Raises ``SnowflakeError``."""
    known = dict.fromkeys(arguments, "variable") | {ROW_COUNT: "count"}
    _check([*block.declared, *block.body], known, returns_table)


def _check(nodes: Sequence[Node], known: dict[str, str], returns_table: bool) -> None:
    known = dict(known)
    for node in nodes:
        match node:
            case Execute(query):
                _check_query(query, known)
            case Declare(name, _, value, place):
                if value is not None:
                    _check_query(value, known)
                _declare(name, "variable", known, *place)
            case DeclareResultSet(name, query):
                _check_query(query, known)
                _declare(name, "resultset", known, query.line, query.position)
            case Assign(name, value):
                _check_query(value, known)
                _check_name(name, known, value.line, value.position)
            case SelectInto(query, names):
                _check_query(query, known)
                for name in names:
                    _check_name(name, known, query.line, query.position)
            case If(branches, otherwise):
                for condition, body in branches:
                    _check_query(condition, known)
                    _check(body, known, returns_table)
                _check(otherwise, known, returns_table)
            case For(name, _, _, body, place):
                inside = dict(known)
                _declare(name, "variable", inside, *place)
                _check(body, inside, returns_table)
            case ReturnTable(name, place):
                if not returns_table or known.get(name) != "resultset":
                    raise errors.unknown_variable(name, *place)
            case Return(value):
                _check_query(value, known)
                if returns_table:
                    raise errors.syntax(
                        value.text, value.line, value.position, "the procedure returns a table"
                    )


def _declare(name: str, kind: str, known: dict[str, str], line: int, position: int) -> None:
    if name in known:
        raise errors.syntax(name, line, position, "a variable of this name is declared already")
    known[name] = kind


def _check_query(query: Query, known: dict[str, str]) -> None:
    for name in query.names:
        if name != ROW_COUNT or not isinstance(query, Expression):
            _check_name(name, known, query.line, query.position)


def _check_name(name: str, known: dict[str, str], line: int, position: int) -> None:
    if known.get(name) != "variable":
        raise errors.unknown_variable(name, line, position)
