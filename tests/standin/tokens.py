"""Splits Snowflake's SQL into tokens, for what the stand-in parses by itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from . import errors

T = TypeVar("T")

_TOKEN: Final = re.compile(
    r"""
      (?P<space>   \s+ | --[^\n]* | //[^\n]* | /\*.*?\*/ )
    | (?P<text>    '(?: [^'\\] | \\. | '' )*' | \$\$.*?\$\$ )
    | (?P<quoted>  "(?: [^"] | "" )*" )
    | (?P<number>  \d+ (?: \.\d* )? (?: [eE][+-]?\d+ )? )
    | (?P<word>    [A-Za-z_][A-Za-z0-9_$]* )
    | (?P<symbol>  := | :: | => | <> | != | <= | >= | \|\| | . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    """A token; ``kind`` is ``text``, ``quoted``, ``number``, ``word``, ``symbol`` or ``end``."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """A word in capitals, or a symbol; empty for other tokens."""
        return self.text.upper() if self.kind in ("word", "symbol") else ""


def tokens(text: str) -> list[Token]:
    """The tokens of a text, without white space and comments; the last one is its end."""
    found = [
        Token(match.lastgroup or "", match[0], match.start(), match.end())
        for match in _TOKEN.finditer(text)
        if match.lastgroup != "space"
    ]
    return [*found, Token("end", "", len(text), len(text))]


class Reader:
    """Reads the tokens of a text one after another."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.position = 0

    @property
    def token(self) -> Token:
        """The token that is read next."""
        return self.tokens[self.position]

    def words(self, count: int) -> tuple[str, ...]:
        """The next words and symbols; empty texts after the end."""
        following = [token.word for token in self.tokens[self.position : self.position + count]]
        return tuple(following + [""] * (count - len(following)))

    def read(self) -> Token:
        """Read a token."""
        token = self.token
        if token.kind == "end":
            raise self.unexpected(token)
        self.position += 1
        return token

    def takes(self, *words: str) -> bool:
        """Read these words and symbols if they come next; return whether they do."""
        if self.words(len(words)) != words:
            return False
        self.position += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Read these words and symbols."""
        for word in words:
            if not self.takes(word):
                raise self.unexpected(self.token, f"expected {word}")

    def name(self) -> str:
        """Read an identifier: unquoted ones are converted to upper case."""
        token = self.read()
        if token.kind == "quoted":
            return token.text[1:-1].replace('""', '"')
        if token.kind != "word":
            raise self.unexpected(token, "expected a name")
        return token.text.upper()

    def literal(self) -> str:
        """Read the value of a text in quotes."""
        token = self.read()
        if token.kind != "text":
            raise self.unexpected(token, "expected a text in quotes")
        return token.text[1:-1].replace("''", "'")

    def items(self, read: Callable[[], T]) -> list[T]:
        """Read items between parentheses, with commas between them."""
        self.expect("(")
        found: list[T] = []
        while not self.takes(")"):
            if found:
                self.expect(",")
            found.append(read())
        return found

    def expect_end(self) -> None:
        """Read the end of the text, perhaps after a semicolon."""
        self.takes(";")
        if self.token.kind != "end":
            raise self.unexpected(self.token)

    def place(self, token: Token) -> tuple[int, int]:
        """The line of a token, from 1, and its position in the line, from 0."""
        before = self.text[: token.start]
        return before.count("\n") + 1, token.start - (before.rfind("\n") + 1)

    def unexpected(self, token: Token, reason: str = "") -> errors.SnowflakeError:
        """The error for a token that may not stand where it does."""
        return errors.syntax(token.text or "<EOF>", *self.place(token), reason)
