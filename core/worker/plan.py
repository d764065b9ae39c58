"""The plan that the machine hands to its shell."""

from __future__ import annotations

import msgspec

from fleet_q.core.ports import SyncRequest


class Plan(msgspec.Struct, frozen=True):
    """What is due now. The shell carries the fields out in this order."""

    abandon: tuple[tuple[str, str], ...]
    """Stop the functions of these claims (step id and claim token)."""

    begin_by: float | None
    """Let the steps that wait begin until this time; ``None`` leaves their time as it is."""

    keep: int | None
    """Withdraw all steps that wait but the first ``keep`` in claim order, and pass their claims to
    :meth:`PodMachine.withdrawn`; ``None`` withdraws none."""

    gone: bool
    """The pod has ended; nothing after this field applies."""

    recover: bool
    """Begin a recovery cycle."""

    prune: bool
    """Begin a prune after the recovery cycle."""

    fire: bool
    """Fire the schedules that are due."""

    check_leader: bool
    """Read all pods and pass them to :meth:`PodMachine.on_pods`."""

    poll: bool
    """Read the store's change counter and pass it to :meth:`PodMachine.on_change_counter`."""

    request: SyncRequest | None
    """Send this to the store and report the result."""

    next_at: float
    """Ask for the next plan at this time if nothing happens before."""
