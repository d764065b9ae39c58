"""Pods: which command each status and incarnation allows, and how each event changes the pod."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet_q.core import events as ev
from fleet_q.core import rebuild
from fleet_q.core.errors import CorruptLog, FleetQError, IncarnationEnded
from fleet_q.core.events import PodEvent, PodFact
from fleet_q.core.pod import (
    AnyPodCommand,
    DeclareDead,
    Drain,
    Join,
    Leave,
    Pod,
    SendHeartbeat,
    Sleep,
    change,
    decide,
    evolve,
    fold,
)
from tests.core.helpers import AT, live_pod

LIVES: Final[dict[str, list[AnyPodCommand]]] = {
    "up": [Join("pod", "one")],
    "asleep": [Join("pod", "one"), Sleep("pod", "one")],
    "draining": [Join("pod", "one"), Drain("pod", "one")],
    "down": [Join("pod", "one"), Leave("pod", "one")],
}
COMMANDS: Final[dict[str, AnyPodCommand]] = {
    "join": Join("pod", "one"),
    "join again": Join("pod", "two"),
    "heartbeat": SendHeartbeat("pod", "one"),
    "drain": Drain("pod", "one"),
    "leave": Leave("pod", "one"),
    "declare dead": DeclareDead("pod", "one", version=1, last_heartbeat_ts=AT),
}
AFTER: Final[dict[tuple[str, str], object]] = {
    **{(status, "join again"): "up" for status in LIVES},
    ("up", "join"): None,
    ("up", "heartbeat"): None,
    ("up", "drain"): "draining",
    ("up", "leave"): "down",
    ("up", "declare dead"): "down",
    ("draining", "join"): None,
    ("draining", "heartbeat"): None,
    ("draining", "drain"): None,
    ("draining", "leave"): "down",
    ("draining", "declare dead"): "down",
    ("asleep", "join"): None,
    ("asleep", "heartbeat"): "up",
    ("asleep", "drain"): "draining",
    ("asleep", "leave"): "down",
    ("asleep", "declare dead"): None,
    ("down", "join"): IncarnationEnded,
    ("down", "heartbeat"): IncarnationEnded,
    ("down", "drain"): IncarnationEnded,
    ("down", "leave"): None,
    ("down", "declare dead"): None,
}
BY_INCARNATION: Final = [name for name in COMMANDS if name in ("heartbeat", "drain", "leave")]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("status", LIVES)
def test_every_command_in_every_status_has_the_expected_effect(status: str, name: str) -> None:
    pod, command = live_pod(*LIVES[status]), COMMANDS[name]
    if isinstance(command, DeclareDead):
        command = dead(pod)
    assert pod.status == status
    expected = AFTER[status, name]
    if isinstance(expected, type):
        with pytest.raises(expected):
            decide(pod, command, AT)
    elif expected is None:
        assert decide(pod, command, AT) is None
    else:
        event = decide(pod, command, AT)
        assert event is not None
        after = evolve(pod, event)
        assert (after.status, after.incarnation) == (expected, command.incarnation)


@pytest.mark.parametrize("name", BY_INCARNATION)
def test_pod_that_never_joined_may_only_join(name: str) -> None:
    with pytest.raises(IncarnationEnded, match="declared dead") as caught:
        decide(None, COMMANDS[name], AT)
    assert not caught.value.superseded


@pytest.mark.parametrize("name", BY_INCARNATION)
@pytest.mark.parametrize("status", LIVES)
def test_command_of_a_superseded_incarnation_raises_superseded(status: str, name: str) -> None:
    command = replace(COMMANDS[name], incarnation="older")
    with pytest.raises(IncarnationEnded, match="another process has joined as pod 'pod'") as caught:
        decide(live_pod(*LIVES[status]), command, AT)
    assert caught.value.superseded


@pytest.mark.parametrize(
    "command", [Join("pod", "one"), SendHeartbeat("pod", "one"), Drain("pod", "one")]
)
def test_incarnation_declared_dead_cannot_continue(command: AnyPodCommand) -> None:
    ended = live_pod(*LIVES["up"], DeclareDead("pod", "one", 1, AT))
    with pytest.raises(IncarnationEnded, match="must join again") as caught:
        decide(ended, command, AT)
    assert not caught.value.superseded


def dead(pod: Pod) -> DeclareDead:
    return DeclareDead(pod.pod_id, pod.incarnation, pod.version, pod.last_heartbeat_ts)


@pytest.mark.parametrize("status", ["up", "draining"])
def test_pod_is_declared_dead_only_if_its_row_is_unchanged(status: str) -> None:
    pod = live_pod(*LIVES[status])
    for version in (pod.version - 1, pod.version + 1):
        assert decide(pod, replace(dead(pod), version=version), AT) is None
    for last_heartbeat_ts in (AT - 1, AT + 1):
        assert decide(pod, replace(dead(pod), last_heartbeat_ts=last_heartbeat_ts), AT) is None
    event = decide(pod, dead(pod), AT, "leader")
    assert event == PodEvent("pod", pod.version + 1, AT, "leader", ev.DeclaredDead("one"))


def test_only_the_observed_incarnation_is_declared_dead() -> None:
    pod = live_pod(*LIVES["up"])
    assert decide(None, dead(pod), AT) is None
    assert decide(pod, replace(dead(pod), incarnation="older"), AT) is None


def test_birth_time_of_a_new_incarnation_is_its_join_time() -> None:
    pod = live_pod(*LIVES["draining"])
    again = live_pod(Join("pod", "two"), pod=pod, at=AT + 5)
    assert again == Pod("pod", "up", AT + 5, AT + 5, "two", version=3)


@pytest.mark.parametrize(
    ("command", "last_heartbeat_ts"),
    [
        (SendHeartbeat("pod", "one"), AT + 5),
        (Drain("pod", "one"), AT + 5),
        (Leave("pod", "one"), AT),
    ],
)
def test_commands_of_a_live_pod_except_leave_update_its_heartbeat(
    command: AnyPodCommand, last_heartbeat_ts: int
) -> None:
    changed = change(live_pod(*LIVES["up"]), command, AT + 5)
    assert changed is not None
    _, pod = changed
    assert (pod.last_heartbeat_ts, pod.birth_ts) == (last_heartbeat_ts, AT)


@pytest.mark.parametrize("status", ["up", "draining"])
def test_heartbeat_is_no_event_and_changes_only_its_time(status: str) -> None:
    pod = live_pod(*LIVES[status])
    changed = change(pod, SendHeartbeat("pod", "one"), AT + 5)
    assert changed == (None, replace(pod, last_heartbeat_ts=AT + 5))


def test_heartbeat_of_a_sleeping_pod_is_a_woke_event() -> None:
    pod = live_pod(*LIVES["asleep"])
    assert change(pod, SendHeartbeat("pod", "one"), AT + 5, "pod") == (
        PodEvent("pod", 3, AT + 5, "pod", ev.Woke("one")),
        replace(pod, status="up", last_heartbeat_ts=AT + 5, version=3),
    )


def test_declaring_a_pod_dead_does_not_update_its_heartbeat() -> None:
    up = live_pod(*LIVES["up"])
    pod = live_pod(dead(up), pod=up, at=AT + 5)
    assert (pod.last_heartbeat_ts, pod.status) == (AT, "down")


@pytest.mark.parametrize(
    ("status", "age", "live"),
    [
        ("up", 59, True),
        ("up", 60, False),
        ("draining", 59, True),
        ("down", 0, False),
        ("up", -59, True),
        ("up", -60, False),
    ],
)
def test_pod_is_live_until_it_is_down_or_its_heartbeat_is_too_far_from_now(
    status: str, age: int, live: bool
) -> None:
    assert live_pod(*LIVES[status]).is_live(AT + age, 60) is live


JOINED: Final = PodEvent("pod", 1, AT, "pod", ev.Joined("one"))
DRAINING: Final = PodEvent("pod", 2, AT, "pod", ev.Draining("one"))


@pytest.mark.parametrize(
    "history",
    [
        [replace(DRAINING, version=1)],
        [replace(JOINED, version=2)],
        [JOINED, JOINED],
        [JOINED, replace(DRAINING, version=3)],
        [JOINED, DRAINING, DRAINING],
    ],
)
def test_log_with_a_gap_or_a_wrong_first_event_is_corrupt(history: list[PodEvent]) -> None:
    with pytest.raises(CorruptLog, match="pod 'pod'"):
        fold(history)


def test_empty_history_folds_to_no_pod() -> None:
    assert fold([]) is None


names = st.sampled_from(["one", "two", "three"])
commands = st.one_of(
    *(
        st.builds(kind, st.just("pod"), names)
        for kind in (Join, SendHeartbeat, Sleep, Drain, Leave)
    ),
    st.builds(DeclareDead, st.just("pod"), names, st.integers(0, 3), st.integers(0, 30)),
)


@given(st.lists(commands, max_size=30))
def test_every_command_sequence_yields_a_log_that_folds_to_the_pod(
    issued: list[AnyPodCommand],
) -> None:
    log: list[PodEvent] = []
    pod: Pod | None = None
    for at, command in enumerate(issued):
        try:
            changed = change(pod, command, at, "pod")
        except FleetQError:
            continue
        if changed is None:
            continue
        event, pod = changed
        if event is not None:
            log.append(event)
            assert event.version == len(log)
        assert pod.version == len(log)
        assert pod.incarnation == command.incarnation
        assert pod.birth_ts <= pod.last_heartbeat_ts <= at
    folded = fold(log)
    assert rebuild.is_equal_but_for_heartbeat(pod, folded)


facts = st.sampled_from([ev.Joined, ev.Slept, ev.Woke, ev.Draining, ev.Left, ev.DeclaredDead])


@given(facts, st.text())
def test_fact_survives_encoding_as_json(kind: type[PodFact], incarnation: str) -> None:
    fact = kind(incarnation)
    assert msgspec.json.decode(msgspec.json.encode(fact), type=PodFact) == fact
