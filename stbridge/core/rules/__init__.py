"""The rules by which observations change the state: one rule per kind of observation, in one table."""

from datetime import datetime

from stbridge.core.evaluation import evaluate
from stbridge.core.observations import Observation
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


def apply(state: State, observation: Observation, now: datetime) -> None:
    """Apply one observation to the state; its consequences are collected in `state.outcome`.

    Args:
        state: the state to change.
        observation: the observation.
        now: the time of the bridge's own clock, in UTC.
    """
    if state.began is None:
        state.began = now
    RULES[type(observation)](state, observation, now)


def conclude(state: State, now: datetime) -> None:
    """Apply the consequences of all observations together and of time; call it again at `state.next_due`.

    Args:
        state: the state; the consequences are collected in `state.outcome`.
        now: the time of the bridge's own clock, in UTC.
    """
    devices.publish_stable_connections(state, now)
    evaluate(state, now)
