"""The rules by which observations change the state: one rule per kind of observation, in one table."""

from datetime import datetime

from stbridge.core.evaluation import evaluate
from stbridge.core.observations import Observation
from stbridge.core.read_order import Moment, read_of
from stbridge.core.rules import clock, configuration, conflicts, devices, folders, instance
from stbridge.core.state import Rules, State

RULES: Rules = {
    **instance.RULES,
    **configuration.RULES,
    **folders.RULES,
    **devices.RULES,
    **conflicts.RULES,
    **clock.RULES,
}


def apply(state: State, observation: Observation, now: datetime, since: Moment | None = None) -> None:
    """Apply one observation to the state; its consequences are collected in `state.outcome`.

    Args:
        state: the state to change.
        observation: the observation.
        now: the time of the bridge's own clock, in UTC.
        since: a moment before the request whose response it is. If its value was observed again since then, the read
            is repeated instead. None if nothing can have been observed since then.
    """
    if state.began is None:
        state.began = now
    if read := read_of(observation):
        if since is not None and state.read_order.observed_since(read, since):
            state.outcome.read(read)
            return
        if state.has(read):  # late events may be about removed folders, which must not fill the table
            state.read_order.note(read)
    RULES[type(observation)](state, observation, now)


def conclude(state: State, now: datetime) -> None:
    """Apply the consequences of all observations together and of time; call it again at `state.next_due`.

    Args:
        state: the state; the consequences are collected in `state.outcome`.
        now: the time of the bridge's own clock, in UTC.
    """
    devices.publish_stable_connections(state, now)
    devices.read_late_completion(state, now)
    evaluate(state, now)
