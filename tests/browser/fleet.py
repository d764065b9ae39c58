"""A fleet that has everything a dashboard shows, as it was left after two hours of fake time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.dependencies import parents_json
from fleet_q.core.pod import Drain, Join, Leave, PodDescription, SendHeartbeat, Sleep
from fleet_q.core.ports import SyncRequest
from fleet_q.core.routing import EVERYWHERE, Routes
from fleet_q.core.step import (
    Complete,
    Fail,
    Outcome,
    Recover,
    Release,
    SaveCheckpoint,
    Snooze,
    Submit,
)
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.settings import Settings
from tests.conformance.clock import FakeClock
from tests.waiting import LIMIT

BEGIN: Final = 1_795_867_200
"""When the story begins: 2026-11-28T12:00:00Z, in seconds."""

HOSTILE: Final = '<script>alert("x")</script> & \u202e\u200b'
"""A text that must be shown as it is, and do nothing."""

TRACEBACK: Final = """Traceback (most recent call last):
  File "/srv/app/mail.py", line 12, in send
    server.login(user, password)
smtplib.SMTPAuthenticationError: (535, b'5.7.8 no such user')
"""

SERVED: Final = ("default", "mail", "api")
"""The queues that pods serve."""

FAN: Final = 62
"""The steps of the large workflow between its first and its last."""


def settings(**options: Any) -> Settings:
    """The settings of the app that shows the fleet."""
    return Settings(dead_pod_threshold=LIMIT, pod_id="pod-here", **options)


@dataclass
class Story:
    """A store in memory, and what happens to it."""

    clock: FakeClock = field(default_factory=FakeClock)
    claims: dict[str, tuple[str, str]] = field(default_factory=dict)  # step: pod, token

    def __post_init__(self) -> None:
        self.clock.step(BEGIN - self.clock() / 1_000_000)
        self.store = MemoryStore(self.clock)
        self.app = FleetQ(self.store, settings=settings())

    def at(self, minutes: float) -> None:
        """Let the time come that is so many minutes after the begin."""
        self.clock.step(BEGIN + 60 * minutes - self.clock() / 1_000_000)

    def submit(self, step_id: str, task_type: str, payload: Any = None, **options: Any) -> None:
        content = {"task_type": task_type, **(payload or {})}
        step = Submit(step_id, json.dumps(content), task_type=task_type, **options)
        self.store.submit([step])

    def command(self, pod_id: str, command: Any) -> None:
        self.store.sync(SyncRequest(pod_id, f"{pod_id} 1", command))

    def join(
        self, pod_id: str, host: str, queues: tuple[str, ...] = SERVED, slots: int = 4
    ) -> None:
        text = PodDescription(host, "2.4.1", slots, queues, None).text
        self.command(pod_id, Join(pod_id, f"{pod_id} 1", text))

    def beat(self, *pod_ids: str) -> None:
        for pod_id in pod_ids:
            self.command(pod_id, SendHeartbeat(pod_id, f"{pod_id} 1"))

    def claim(self, pod_id: str, *step_ids: str, routes: Routes = EVERYWHERE) -> None:
        """Let the pod claim exactly these steps, which have to be the first that are due."""
        token = f"token {len(self.claims)}"
        request = SyncRequest(
            pod_id, f"{pod_id} 1", claim=len(step_ids), claim_token=token, routes=routes
        )
        claimed = [step.step_id for step in self.store.sync(request).claimed]
        assert claimed == list(step_ids), f"{claimed} instead of {step_ids}"
        self.claims.update(dict.fromkeys(step_ids, (pod_id, token)))

    def end(self, step_id: str, kind: type[Outcome], *values: Any, **options: Any) -> None:
        pod_id, token = self.claims[step_id]
        outcome = kind(step_id, token, *values, **options)
        self.store.sync(SyncRequest(pod_id, f"{pod_id} 1", outcomes=(outcome,)))

    def complete(self, step_id: str, result: Any = None) -> None:
        self.end(step_id, Complete, json.dumps(result))


def tell() -> Story:
    """Tell the story of the fleet. It ends at 14:00 and leaves behind:

    - pods: ``pod-a`` leads, ``pod-b`` was declared dead at 12:40, ``pod-c`` is up, ``pod-d`` is
      asleep, ``pod-e`` has left and ``pod-f`` drains
    - a step in each status, those that were retried, recovered, snoozed and replayed among them
    - the workflow ``nightly-1``, in which one failed, and ``report-1``, which is large and runs
    - the schedules ``nightly`` and ``hourly``, which is paused
    - the queues ``mail``, which is paused, ``api``, which has limits, and ``gpu``, which no live
      pod serves
    """
    story = Story()
    store, app = story.store, story.app
    story.join("pod-a", "host-1")
    app.schedules.put("nightly", {"task_type": "nightly"}, cron="0 2 * * *", tz="Europe/Berlin")
    app.schedules.put("hourly", {"task_type": "tidy", "what": HOSTILE}, every=3600.0)
    app.queues.set("api", max_running=3, max_running_per_key=1, rate="100/min")
    story.at(2)
    story.join("pod-b", "host-2")
    story.join("pod-e", "host-5")
    story.submit("import-1", "import", {"file": "a.csv"}, labels='{"team":"data"}')
    story.submit("import-2", "import", {"file": "b.csv"})
    story.claim("pod-a", "import-1")
    story.claim("pod-b", "import-2")
    story.at(9)
    story.complete("import-1", {"rows": 1200})
    story.at(15)
    story.submit("mail-1", "mail", {"to": HOSTILE}, queue="mail", max_retries=1)
    story.claim("pod-a", "mail-1")
    story.at(16)
    story.end("mail-1", Fail, "SMTPAuthenticationError: (535, b'5.7.8 no such user')", TRACEBACK)
    story.at(18)
    story.claim("pod-e", "mail-1")
    story.at(19)
    story.end("mail-1", Fail, f"SMTPAuthenticationError: {HOSTILE}", TRACEBACK)
    _nightly(story)
    story.at(30)
    story.command("pod-e", Leave("pod-e", "pod-e 1"))
    story.join("pod-c", "host-3")
    story.at(40)
    story.beat("pod-a", "pod-c")
    dead = [pod for pod in store.pods().pods if pod.pod_id == "pod-b"]
    assert store.declare_dead(dead, "pod-a")
    orphan = store.orphans("", 10)[0]
    store.recover([Recover(orphan.step_id, orphan.claim_token)], "pod-a")
    story.claim("pod-c", "import-2")
    story.at(47)
    story.complete("import-2", {"rows": 900})
    _large(story)
    story.at(100)
    app.schedules.trigger("hourly")
    app.schedules.pause("hourly")
    here = Routes(("default",))
    story.claim("pod-a", "hourly@2026-11-28T13:40:00Z", routes=here)
    story.at(101)
    story.complete("hourly@2026-11-28T13:40:00Z")
    app.queues.pause("mail")
    story.submit("mail-2", "mail", {"to": "ada@example.com"}, queue="mail", key="ada")
    story.submit("train-1", "train", {"epochs": 3}, queue="gpu", priority=5)
    story.join("pod-d", "host-4")
    story.command("pod-d", Sleep("pod-d", "pod-d 1"))
    story.join("pod-f", "host-6", slots=1)
    story.at(105)
    story.submit("call-1", "call", {"url": "https://example.com"})
    story.claim("pod-f", "call-1", routes=here)
    story.command("pod-f", Drain("pod-f", "pod-f 1"))
    story.submit("call-2", "call")
    app.cancel("call-2")
    story.submit("poll-1", "poll")
    story.claim("pod-c", "poll-1", routes=here)
    story.end("poll-1", Snooze, 3_600_000_000)
    story.submit("delayed-1", "call", delay=7_200_000_000)
    story.submit("long-1", "train", {"epochs": 9}, labels='{"team":"research"}')
    story.claim("pod-c", "long-1", routes=here)
    token = story.claims["long-1"][1]
    step = store.step("long-1")
    assert step is not None
    checkpoint = SaveCheckpoint("long-1", token, '{"epoch":4}', step.version)
    store.save_checkpoint(checkpoint, "pod-c")
    report = ("long-1", token, '{"fraction":0.45,"text":"epoch 4 of 9"}')
    store.sync(SyncRequest("pod-c", "pod-c 1", progress=(report,)))
    story.submit("again-1", "call", max_retries=0)
    story.claim("pod-c", "again-1", routes=here)
    story.end("again-1", Fail, "ValueError: not yet", TRACEBACK, permanent=True)
    story.at(110)
    app.replay(["again-1"])
    story.claim("pod-a", "again-1", routes=here)
    story.end("again-1", Release)
    story.at(120)
    story.beat("pod-a", "pod-c", "pod-f")
    return story


def _nightly(story: Story) -> None:
    """A workflow of five steps: one of three loads fails, so that the last two are cancelled."""
    flow = {"workflow_id": "nightly-1"}
    story.at(20)
    story.submit("extract", "extract", **flow)
    for number in (1, 2, 3):
        after = parents_json({"extract": "success"})
        story.submit(f"load-{number}", "load", parents=after, max_retries=0, **flow)
    loads = parents_json({f"load-{number}": "success" for number in (1, 2, 3)})
    story.submit("report", "report", parents=loads, **flow)
    story.claim("pod-a", "extract")
    story.at(22)
    story.complete("extract", {"tables": 3})
    story.claim("pod-a", "load-1", "load-2", "load-3")
    story.at(24)
    story.complete("load-1")
    story.at(26)
    story.complete("load-2")
    story.end("load-3", Fail, "IntegrityError: duplicate key", TRACEBACK)


def _large(story: Story) -> None:
    """A workflow of many steps, of which some have ended and two run."""
    flow = {"workflow_id": "report-1", "queue": "api"}
    story.at(50)
    story.submit("start", "begin", **flow)
    after = parents_json({"start": "success"})
    parts = [f"part-{number:03}" for number in range(FAN)]
    for part in parts:
        story.submit(part, "part", parents=after, key=f"customer {part[-1]}", **flow)
    story.submit("end", "merge", parents=parents_json(dict.fromkeys(parts, "finished")), **flow)
    story.claim("pod-c", "start")
    story.at(51)
    story.complete("start")
    for place in range(0, 30, 3):
        three = parts[place : place + 3]
        story.claim("pod-a" if place % 2 else "pod-c", *three)
        story.at(52 + place)
        for part in three:
            story.complete(part)
    story.beat("pod-a", "pod-c")
    story.claim("pod-c", *parts[30:32])
