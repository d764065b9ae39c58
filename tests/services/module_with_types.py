"""Types and functions with annotations, for the tests of how steps carry them."""

from __future__ import annotations

import dataclasses
import enum
import uuid
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import msgspec
from pydantic import BaseModel

from fleet_q import FleetQ

if TYPE_CHECKING:
    Missing = Any

app = FleetQ("memory://")


class Colour(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


class Address(TypedDict):
    city: str
    since: date


@dataclasses.dataclass
class Line:
    sku: str
    count: int = 1


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    lines: list[Line]
    due: date | None = None
    price: Decimal = Decimal("0.00")


@dataclasses.dataclass
class GiftOrder(Order):
    message: str = ""


class Sample(msgspec.Struct):
    at: datetime
    colours: set[Colour]


class Account(BaseModel):
    name: str
    since: date


@app.task("bill", process=True)
def bill(order: Order, to: Path) -> Order:
    assert isinstance(order, Order)
    assert isinstance(to, Path)
    return dataclasses.replace(order, price=order.price * 2)


@dataclasses.dataclass
class Early:
    later: Later


@app.task("late")
def late(value: Later, early: Early) -> Later:
    return Later(value.n + early.later.n)


@app.task("unknown")
def unknown(value: Missing) -> None: ...


@dataclasses.dataclass
class Later:
    n: int
