"""The types of settings: durations, topics, and the base of all tables."""

import math
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from stbridge.core.timing import parsed_seconds

LONGEST_S = 3650 * 24 * 3600
"""Maximum of a threshold, ten years: Python cannot compute with times outside its calendar."""


def topic_prefix(value: str) -> str:
    """Accept a text that is valid at the start of a topic (MQTT 5, section 4.7)."""
    if not value or value.startswith(("$", "/")) or value.endswith("/") or set(value) & set("+#\0"):
        raise ValueError("must be a topic without + or #, without / at either end, not starting with $")
    return value


TopicPrefix = Annotated[str, AfterValidator(topic_prefix)]


def _seconds(value: object) -> float:
    """Convert a duration, such as `7d` or a number of seconds, to seconds.

    `false` is 0, which turns a threshold off. `true` is refused, because it would be one second.
    """
    if isinstance(value, str) and (length := parsed_seconds(value.strip())) is not None:
        return length
    try:
        found = float(value)  # type: ignore[arg-type]  # a value that cannot be converted is refused below
    except (TypeError, ValueError):
        found = math.nan
    if value is True or not math.isfinite(found):
        raise ValueError('must be a number of seconds, or a duration such as "30m", "12h" or "7d"')
    return found


_DURATION_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+ *[smhd]?$"}]}
)

Duration = Annotated[float, BeforeValidator(_seconds), _DURATION_SCHEMA]
"""Seconds, as a number or with a unit."""

WholeSeconds = Annotated[int, BeforeValidator(_seconds), _DURATION_SCHEMA]

Seconds = Annotated[Duration, Field(gt=0, le=LONGEST_S)]


class Section(BaseModel):
    """A table of the settings; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
