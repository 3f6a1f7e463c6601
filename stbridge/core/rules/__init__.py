"""How observations change the state: one rule per kind of observation, gathered in one table."""

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
    """Take one observation into the state; what follows from it is gathered in `state.outcome`.

    Args:
        state: the state to be changed.
        observation: what was seen.
        now: the time of the bridge's own clock, in UTC.
    """
    if state.began is None:
        state.began = now
    RULES[type(observation)](state, observation, now)


def conclude(state: State, now: datetime) -> None:
    """Apply what follows from all observations together and from time; `state.next_due` is when it is due again.

    Args:
        state: the state; what follows is gathered in `state.outcome`.
        now: the time of the bridge's own clock, in UTC.
    """
    devices.publish_stable_connections(state, now)
    evaluate(state, now)
