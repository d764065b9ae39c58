"""Tracing, the OpenTelemetry spans of steps: where they are submitted, and where they run.

Spans, their names, kinds and attributes follow OpenTelemetry's semantic conventions for messaging
spans (in development; the names of version 1.44.0). A step carries the context in which it was
submitted as its label ``traceparent``, in the format of W3C's Trace Context. This module needs
``opentelemetry-api``, so that it is imported only where steps are traced.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from msgspec.structs import replace
from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
    get_current_span,
    get_tracer,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fleet_q.core.errors import InvalidInput
from fleet_q.core.step import Complete, Fail, Outcome, Step, Submit
from fleet_q.core.stored_json import labels_of
from fleet_q.core.submission import labels_json
from fleet_q.core.worker.observer import Observer
from fleet_q.services.app.context import Snooze, StepContext, step_of
from fleet_q.services.app.labels import TRACEPARENT
from fleet_q.services.app.version import installed_version

SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the conventions whose names are used."""

SYSTEM: Final = "fleet_q"

MOST_REMEMBERED: Final = 10_000
"""Of how many failed attempts a pod remembers the spans, to link the next attempt to them."""

MOST_LINKS: Final = 100
"""Links of a span that submits many steps which carry contexts of their own."""

_propagator: Final = TraceContextTextMapPropagator()


class Ending:
    """How an attempt has ended: by ``outcome``, unless it raised an error, and whether that is
    discarded, because the step timed out or the claim was lost meanwhile."""

    outcome = "completed"
    is_discarded = False


class Tracing:
    """Makes the spans of an app, with a tracer of ``provider``, by default the global one."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = get_tracer("fleet_q", installed_version(), provider, SCHEMA)
        self._failed: OrderedDict[str, SpanContext] = OrderedDict()

    @contextmanager
    def sending(self, commands: Sequence[Submit]) -> Iterator[list[Submit]]:
        """A producer span during which ``commands`` are stored; gives those to store instead, which
        carry its context, unless they carry one already."""
        queues = {command.queue for command in commands}
        queue = queues.pop() if len(queues) == 1 else None
        attributes: dict[str, str | int] = {
            "messaging.system": SYSTEM,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
        }
        if queue is not None:
            attributes["messaging.destination.name"] = queue
        if len(commands) == 1:
            attributes |= _of_step(commands[0].step_id, commands[0].task_type)
        else:
            attributes["messaging.batch.message_count"] = len(commands)
        own = [given for command in commands if (given := _carried_by(command)) is not None]
        with self._tracer.start_as_current_span(
            "send" if queue is None else f"send {queue}",
            kind=SpanKind.PRODUCER,
            attributes=attributes,
            links=[Link(given) for given in own[:MOST_LINKS]],
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield self.carrying(commands)
            except BaseException as error:
                _fail(span, error)
                raise

    def carrying(self, commands: Sequence[Submit]) -> list[Submit]:
        """``commands`` with the current context as a label, except those that carry one, or have
        no room for it."""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        traceparent = carrier.get("traceparent")
        if traceparent is None:
            return list(commands)
        alone = labels_json({TRACEPARENT: traceparent})
        return [_labelled(command, traceparent, alone) for command in commands]

    @contextmanager
    def within(self, traceparent: str | None) -> Iterator[None]:
        """Make the context that a client sent, if any, the current one."""
        if traceparent is None:
            yield
            return
        token = contexts.attach(_context_of(traceparent))
        try:
            yield
        finally:
            contexts.detach(token)

    def of_leases(self) -> Observer:
        """What makes the spans of the steps that clients of the HTTP API claim."""
        return _LeaseSpans(self)

    def around(self, step: StepContext, call_next: Callable[[], Any]) -> Any:
        """A middleware: a consumer span round the function."""
        with self.processing(step_of(step)) as ending:
            try:
                return call_next()
            finally:
                ending.is_discarded = step.cancelled

    async def around_async(self, step: StepContext, call_next: Callable[[], Awaitable[Any]]) -> Any:
        """A middleware: a consumer span round the async function."""
        with self.processing(step_of(step)) as ending:
            try:
                return await call_next()
            finally:
                ending.is_discarded = step.cancelled

    @contextmanager
    def processing(self, step: Step) -> Iterator[Ending]:
        """A consumer span of an attempt at ``step``, which is current."""
        ending = Ending()
        ambient = get_current_span().get_span_context()
        context, links = self._origin(step)
        if ambient.is_valid:
            links.append(Link(ambient))
        with self._tracer.start_as_current_span(
            f"process {step.queue}",
            context=context,
            kind=SpanKind.CONSUMER,
            attributes=_of_attempt(step),
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield ending
            except BaseException as error:
                ending.outcome = "snoozed"
                if not issubclass(type(error), Snooze):
                    ending.outcome = "failed"
                    span.record_exception(error)
                    _fail(span, error)
                    self._remember(step, span)
                raise
            else:
                if ending.outcome == "failed":  # a consumer has said so
                    _fail_for(span, None)
                    self._remember(step, span)
            finally:
                how = "discarded" if ending.is_discarded else ending.outcome
                span.set_attribute(_OUTCOME, how)

    def processed(self, step: Step, outcome: Outcome, at: int, *, refused: bool) -> None:
        """A consumer span of an attempt that a client of the HTTP API has ended, from its claim to
        store time ``at``."""
        context, links = self._origin(step)
        span = self._tracer.start_span(
            f"process {step.queue}",
            context=context,
            kind=SpanKind.CONSUMER,
            attributes=_of_attempt(step),
            links=links,
            start_time=step.last_update_ts * 1000,
        )
        how = "rejected" if refused else _named(outcome)
        span.set_attribute(_OUTCOME, how)
        if isinstance(outcome, Fail):
            _fail_for(span, outcome.error)
            self._remember(step, span)
        span.end(at * 1000)

    def _origin(self, step: Step) -> tuple[Context, list[Link]]:
        """The context in which the step was submitted, and links to it and to the attempt before,
        if that failed in this process."""
        traceparent = labels_of(step.labels).get(TRACEPARENT)
        context = Context() if traceparent is None else _context_of(traceparent)
        submitted = get_current_span(context).get_span_context()
        links = [Link(submitted)] if submitted.is_valid else []
        before = self._failed.pop(step.step_id, None)
        if before is not None:
            links.append(Link(before, {f"messaging.{SYSTEM}.attempt": step.attempt - 1}))
        return context, links

    def _remember(self, step: Step, span: Span) -> None:
        if not step.has_tries_left:
            return
        self._failed[step.step_id] = span.get_span_context()
        while len(self._failed) > MOST_REMEMBERED:
            self._failed.popitem(last=False)


class _LeaseSpans(Observer):
    """Makes the spans of the attempts that clients of the HTTP API end."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    @property
    def wants_ended(self) -> bool:
        return True

    def on_ended(
        self, ended: Sequence[tuple[Outcome, Step]], refused: Collection[str], at: int
    ) -> None:
        for outcome, step in ended:
            self._tracing.processed(step, outcome, at, refused=outcome.step_id in refused)


_OUTCOME: Final = f"messaging.{SYSTEM}.outcome"


def _of_step(step_id: str, task_type: str) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {"messaging.message.id": step_id}
    if task_type:
        attributes[f"messaging.{SYSTEM}.task_type"] = task_type
    return attributes


def _of_attempt(step: Step) -> dict[str, str | int]:
    attributes = _of_step(step.step_id, step.task_type) | {
        "messaging.system": SYSTEM,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": step.queue,
        f"messaging.{SYSTEM}.attempt": step.attempt,
    }
    if step.claimed_by is not None:
        attributes["messaging.client.id"] = step.claimed_by
    if step.workflow_id is not None:
        attributes["messaging.message.conversation_id"] = step.workflow_id
    return attributes


def _named(outcome: Outcome) -> str:
    if isinstance(outcome, Complete):
        return "completed"
    return {"Fail": "failed", "Release": "released"}.get(type(outcome).__name__, "snoozed")


def _fail(span: Span, error: BaseException) -> None:
    kind = type(error)
    is_builtin = kind.__module__ == "builtins"
    name = kind.__qualname__ if is_builtin else f"{kind.__module__}.{kind.__qualname__}"
    span.set_attribute("error.type", name)
    span.set_status(Status(StatusCode.ERROR, name))


def _fail_for(span: Span, error: str | None) -> None:
    """A client has failed the step, for a reason that is no exception."""
    span.set_attribute("error.type", "_OTHER")
    span.set_status(Status(StatusCode.ERROR, error))


def _context_of(traceparent: str) -> Context:
    """The context that a text names; an empty one if it names none."""
    return _propagator.extract({"traceparent": traceparent}, Context())


def _carried_by(command: Submit) -> SpanContext | None:
    """The context that a command already carries."""
    traceparent = _labels(command).get(TRACEPARENT)
    if traceparent is None:
        return None
    context = get_current_span(_context_of(traceparent)).get_span_context()
    return context if context.is_valid else None


def _labelled(command: Submit, traceparent: str, alone: str) -> Submit:
    """``command`` with the label, whose JSON text is ``alone`` if it is the only one."""
    if command.labels is None:
        return replace(command, labels=alone)
    labels = _labels(command)
    if TRACEPARENT in labels:
        return command
    try:
        return replace(command, labels=labels_json({**labels, TRACEPARENT: traceparent}))
    except InvalidInput:  # it has as many labels as a step may have
        return command


def _labels(command: Submit) -> Mapping[str, str]:
    return {} if command.labels is None else labels_of(command.labels)
