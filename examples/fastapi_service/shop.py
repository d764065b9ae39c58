"""A shop whose orders and steps are in one SQLite file, and in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from fleet_q import FleetQ, UnknownStep

DATABASE = "shop.db"

queue = FleetQ(f"sqlite:///{DATABASE}")


class Order(BaseModel):
    customer: str
    amount: float


@queue.task("send invoice", max_retries=8, retry_on=OSError)
def send_invoice(order_id: int) -> str:
    with closing(sqlite3.connect(DATABASE)) as connection:
        row = connection.execute("SELECT customer, amount FROM orders WHERE id = ?", [order_id])
        customer, amount = row.fetchone()
    return f"{customer} owes {amount:.2f}"  # here a mail would be sent


@asynccontextmanager
async def lifespan(service: FastAPI) -> AsyncIterator[None]:
    async with queue.running():  # a pod, in this process
        with closing(sqlite3.connect(DATABASE)) as connection, connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS orders"
                " (id INTEGER PRIMARY KEY, customer TEXT, amount REAL)"
            )
        yield


service = FastAPI(lifespan=lifespan)


@service.post("/orders", status_code=201)
def place(order: Order) -> dict[str, int]:
    """Store an order and submit its invoice: both, or neither."""
    with closing(sqlite3.connect(DATABASE)) as connection, connection:
        cursor = connection.execute(
            "INSERT INTO orders (customer, amount) VALUES (?, ?)", [order.customer, order.amount]
        )
        order_id = int(cursor.lastrowid or 0)
        options = send_invoice.options(step_id=f"invoice {order_id}", connection=connection)
        options.submit(order_id=order_id)
    return {"id": order_id}


@service.get("/orders/{order_id}")
def show(order_id: int) -> dict[str, str | None]:
    """What became of the invoice of an order."""
    try:
        step = queue.status(f"invoice {order_id}")
    except UnknownStep:
        raise HTTPException(404, "there is no such order") from None
    return {"status": step.status, "invoice": step.result, "error": step.error}
