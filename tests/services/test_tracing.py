"""The spans of steps, as a collector receives them from OpenTelemetry's SDK."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from starlette.testclient import TestClient

from fleet_q import FleetQ, InvalidInput, Snooze, StepContext, current_step
from fleet_q.core.step import Step
from fleet_q.services.http.api import create_http
from tests.services.collector import Collector, Received, collecting
from tests.services.conftest import QUICK, Run, ended

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def provider(collector: Collector, app: FleetQ) -> TracerProvider:
    """The provider of the app, which is traced."""
    provider = collector.provider()
    app.trace(provider)
    return provider


def check_belongs_to(span: Received, sent: Received) -> None:
    """The span is a child of the one that has submitted its step, and linked to it."""
    assert (span.trace_id, span.parent_id) == (sent.trace_id, sent.span_id)
    assert sent.span_id in span.links


def test_function_in_a_thread_has_a_span_below_that_of_its_submission(
    app: FleetQ, provider: TracerProvider, collector: Collector, run: Run
) -> None:
    tracer = provider.get_tracer("test")

    @app.task("mail")
    def mail(to: str) -> None:
        with tracer.start_as_current_span("connect"):
            pass

    with tracer.start_as_current_span("request"):
        step_id = mail.options(queue="out").submit("ann")
    run(step_id)
    request, sent = collector.one("request"), collector.one("send out")
    ran, inside = collector.one("process out"), collector.one("connect")
    assert (sent.kind, sent.parent_id, ran.kind) == ("producer", request.span_id, "consumer")
    check_belongs_to(ran, sent)
    assert inside.parent_id == ran.span_id
    assert not ran.is_error
    assert sent.attributes == {
        "messaging.system": "fleet_q",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "out",
        "messaging.message.id": step_id,
        "messaging.fleet_q.task_type": "mail",
    }
    assert ran.attributes == {
        "messaging.system": "fleet_q",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "out",
        "messaging.message.id": step_id,
        "messaging.client.id": "pod-1",
        "messaging.fleet_q.task_type": "mail",
        "messaging.fleet_q.attempt": 1,
        "messaging.fleet_q.outcome": "completed",
    }


def test_coroutine_has_a_span_that_is_current_within_it(
    app: FleetQ, provider: TracerProvider, collector: Collector, run: Run
) -> None:
    @app.task("mail")
    async def mail() -> None:
        with provider.get_tracer("test").start_as_current_span("connect"):
            pass

    run(mail.submit())
    ran = collector.one("process default")
    check_belongs_to(ran, collector.one("send default"))
    assert collector.one("connect").parent_id == ran.span_id


def test_retry_is_linked_to_its_submission_and_to_the_attempt_before(
    app: FleetQ, provider: TracerProvider, collector: Collector, run: Run
) -> None:
    @app.task("mail")
    def mail() -> None:
        if current_step().attempt == 1:
            raise ConnectionError("refused")

    run(mail.submit())
    sent = collector.one("send default")
    first, second = collector.named("process default")
    check_belongs_to(first, sent)
    check_belongs_to(second, sent)
    assert (first.links, second.links) == ([sent.span_id], [sent.span_id, first.span_id])
    assert (first.is_error, second.is_error) == (True, False)
    assert first.attributes["error.type"] == "ConnectionError"
    assert first.events == ["exception"]
    assert second.attributes["messaging.fleet_q.attempt"] == 2


def test_snoozed_attempt_is_no_error(
    app: FleetQ, provider: TracerProvider, collector: Collector, run: Run
) -> None:
    calls: list[int] = []

    @app.task("mail")
    def mail() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise Snooze(0)

    run(mail.submit())
    spans = collector.named("process default")
    assert [span.attributes["messaging.fleet_q.outcome"] for span in spans] == [
        "snoozed",
        "completed",
    ]
    assert not any(span.is_error for span in spans)


def test_span_says_that_what_a_cancelled_function_returned_is_discarded(
    app: FleetQ, provider: TracerProvider, collector: Collector
) -> None:
    app.task("mail")(lambda: None)
    assert app.tracing is not None
    step = Step("s", "claimed", 0, "{}", 0, 3, 0, 0, 0, claim_token="t")
    context = StepContext(step)
    app.tracing.around(context, context.cancel)
    assert collector.one("process default").attributes["messaging.fleet_q.outcome"] == "discarded"


def test_many_steps_share_the_span_of_their_submission(
    app: FleetQ, provider: TracerProvider, collector: Collector, run: Run
) -> None:
    @app.task("mail")
    def mail(n: int) -> None: ...

    run(*mail.submit_many({"n": n} for n in range(3)))
    sent = collector.one("send default")
    assert sent.attributes["messaging.batch.message_count"] == 3
    for ran in collector.named("process default"):
        check_belongs_to(ran, sent)


def test_spawned_step_belongs_to_the_span_of_its_parent(
    app: FleetQ, provider: TracerProvider, collector: Collector, run: Run
) -> None:
    @app.task("child")
    def child() -> None: ...

    @app.task("parent")
    def parent() -> str:
        return current_step().spawn(child.options(queue="children").step())

    (ended,) = run(parent.submit())
    run(str(ended.result))
    check_belongs_to(collector.one("process children"), collector.one("process default"))


def test_context_of_the_submitter_is_kept_and_linked(
    app: FleetQ, provider: TracerProvider, collector: Collector, run: Run
) -> None:
    app.task("mail")(lambda: None)
    run(app.submit({"task_type": "mail"}, labels={"traceparent": TRACEPARENT}))
    ran = collector.one("process default")
    assert (ran.trace_id, ran.parent_id) == (TRACE_ID, SPAN_ID)
    assert collector.one("send default").links == [SPAN_ID]


def test_step_whose_context_is_unreadable_begins_a_trace_of_its_own(
    app: FleetQ, provider: TracerProvider, collector: Collector, run: Run
) -> None:
    app.task("mail")(lambda: None)
    (step,) = run(app.submit({"task_type": "mail"}, labels={"traceparent": "nonsense"}))
    assert step.status == "completed"
    assert (collector.one("process default").parent_id, step.labels) == (
        "",
        {"traceparent": "nonsense"},
    )


def test_step_with_all_labels_that_it_may_have_is_submitted_without_context(
    app: FleetQ, provider: TracerProvider
) -> None:
    labels = {f"label-{n}": "" for n in range(20)}
    step_id = app.submit({"n": 1}, labels=labels)
    assert app.status(step_id).labels == labels


def test_schedule_does_not_keep_the_context_in_which_it_was_made(
    app: FleetQ, provider: TracerProvider
) -> None:
    with provider.get_tracer("test").start_as_current_span("request"):
        app.schedules.put("nightly", {"task_type": "mail"}, cron="0 2 * * *")
    app.schedules.trigger("nightly")
    (step,) = app.steps().steps
    assert "traceparent" not in app.status(step.step_id).labels


def test_request_header_makes_the_submission_part_of_the_clients_trace(
    app: FleetQ, provider: TracerProvider, collector: Collector
) -> None:
    client = TestClient(create_http(app))
    headers = {"traceparent": TRACEPARENT}
    client.post("/submit", json={"payload": {}}, headers=headers).raise_for_status()
    batch = {"steps": [{"payload": {}, "queue": "a"}, {"payload": {}, "queue": "b"}]}
    client.post("/submit/batch", json=batch, headers=headers).raise_for_status()
    for name in ("send default", "send"):
        sent = collector.one(name)
        assert (sent.trace_id, sent.parent_id) == (TRACE_ID, SPAN_ID)


def test_request_header_is_passed_on_where_steps_are_not_traced(app: FleetQ) -> None:
    client = TestClient(create_http(app))
    headers = {"traceparent": TRACEPARENT}
    body = {"payload": {}, "labels": {"day": "1"}}
    step_id = client.post("/submit", json=body, headers=headers).json()["step_id"]
    assert app.status(step_id).labels == {"day": "1", "traceparent": TRACEPARENT}
    step_id = client.post("/submit", json=body, headers={"traceparent": "x"}).json()["step_id"]
    assert app.status(step_id).labels == {"day": "1"}


def test_consumer_works_within_a_span(
    app: FleetQ, provider: TracerProvider, collector: Collector
) -> None:
    app.submit({"n": 1})
    with app.consumer() as consumer:
        (step,) = consumer.claim_steps(1, wait=60)
        tracer = provider.get_tracer("test")
        with tracer.start_as_current_span("loop"), step, tracer.start_as_current_span("inside"):
            step.result = "done"
        app.submit({"n": 2}, queue="failing")
        (step,) = consumer.claim_steps(1, wait=60)
        with step:
            consumer.fail_step(step, "no", permanent=True)
    ran = collector.one("process default")
    check_belongs_to(ran, collector.one("send default"))
    assert collector.one("loop").span_id in ran.links
    assert collector.one("inside").parent_id == ran.span_id
    failed = collector.one("process failing")
    assert (failed.is_error, failed.attributes["messaging.fleet_q.outcome"]) == (True, "failed")


def test_lease_has_a_span_from_its_claim_to_its_end(
    app: FleetQ, provider: TracerProvider, collector: Collector
) -> None:
    client = TestClient(create_http(app, lease=True))
    app.submit({"n": 1})
    with app.leasing():
        (step,) = client.post("/claim", json={"n": 1, "wait": 60}).json()["steps"]
        assert step["labels"]["traceparent"].split("-")[1] == collector.spans[0].trace_id
        body = {"claim_token": step["claim_token"], "error": "no", "permanent": True}
        client.post(f"/steps/{step['step_id']}/fail", json=body).raise_for_status()
    ran = collector.one("process default")
    check_belongs_to(ran, collector.one("send default"))
    assert ran.is_error
    assert ran.attributes["messaging.fleet_q.outcome"] == "failed"
    assert ran.seconds > 0


def test_function_in_a_process_has_a_span_below_that_of_its_submission(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLECTOR", collector.url)
    name = "tests.services.module_with_traces"
    module = importlib.import_module(name)
    try:
        module.app.use(store=f"sqlite:///{tmp_path}/q.db", settings=QUICK)
        (step,) = asyncio.run(ended(module.app, [module.work.submit()]))
        sent, ran = collector.one("send default"), collector.one("process default")
        check_belongs_to(ran, sent)
        assert collector.one("inside").parent_id == ran.span_id
        assert step.result == sent.trace_id
    finally:
        module.app.close()
        del sys.modules[name]


def test_trace_can_be_called_once(app: FleetQ, provider: TracerProvider) -> None:
    with pytest.raises(InvalidInput, match="traced already"):
        app.trace()


def test_trace_says_what_to_install(app: FleetQ, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fleet_q.services.app.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(InvalidInput, match=r"pip install 'fleet-q\[otel\]'"):
        app.trace()
