"""The templates that Home Assistant uses to read a payload.

They contain only keys of the tables, never names or IDs: a name could contain a template.
"""

from collections.abc import Iterator, Mapping
from functools import cache

from stbridge.homeassistant.entity import Entity

LONGEST_STATE = 255
"""Maximum length of a state in Home Assistant, in characters."""

LISTED_ITEMS = 10
LONGEST_LIST = 5000
"""Maximum length of a list in characters: Home Assistant does not record attributes above 16 KiB and logs a warning."""

SCALES: Mapping[str, int] = {"kB/s": 10**3, "MB": 10**6, "GB": 10**9}

COUNTED = ("items", "files")
"""Units of counts that change with every file of a sync, so that Home Assistant would record each step."""


@cache
def value_template(row: Entity) -> str | None:
    """Return the template of the state; None if the payload is the state. An unknown value is `None` in both."""
    if row.types:
        return _one_of_its_events(row)
    if not row.value:
        return None
    value = _at(row.value)
    for known, shown, otherwise in _shown(row, value):
        return f"{{{{ {shown} if {value} {known} else {otherwise} }}}}"
    return f"{{{{ {value} }}}}"


def _shown(row: Entity, value: str) -> Iterator[tuple[str, str, str]]:
    """Yield the test of a known value, the expression that shows it, and what is shown for any other value."""
    if row.length:
        yield "is sequence", f"{value} | length", "none"
    if row.words:
        yield f"in {list(row.words)}", f"{dict(row.words)}[{value}]", "none"
    if row.options:
        yield f"in {list(row.options)}", value, "none"
    if rounded := _rounded(row, value):
        yield "is number", rounded, "none"
    if row.keep:
        part = f"[:{LONGEST_STATE}]" if row.keep == "start" else f"[-{LONGEST_STATE}:]"
        yield "is string", f"{value}{part}", f"'{row.otherwise}'" if row.otherwise else "none"


def _rounded(row: Entity, value: str) -> str | None:
    """Return an expression that rounds a number, because Home Assistant records each different value.

    Sizes, rates and counts keep three significant digits. Totals are rounded down to 0.01 GB, so that statistics stay
    exact for any size, and percentages to 0.1, so that 100 means complete. The topics contain the exact numbers.
    """
    if row.unit == "%":
        return f"({value} * 10) | int / 10"
    if row.unit in COUNTED:
        return f"'%.3g' | format({value}) | float | int"
    if row.unit is None or row.unit not in SCALES:
        return None
    scaled = f"{value} / {SCALES[row.unit]}"
    if row.state_class == "total_increasing":
        return f"({scaled}) | round(2, 'floor')"
    if row.unit == "kB/s":  # without a minimum, the keepalives of an idle connection would be recorded
        scaled = f"({scaled}) | round(1)"
    return f"'%.3g' | format({scaled}) | float"


@cache
def attributes_template(row: Entity) -> str | None:
    """Return the template of the attributes, a JSON object; None if there are none."""
    if not row.attributes and not row.lists:
        return None
    lists = "".join(f"{{% set {key} = ({_at(key)} or [])[:{LISTED_ITEMS}] %}}" for key in row.lists)
    members = [f"'{key}': {_at(key)}" for key in row.attributes]
    members += [f"'{key}': {key} if ({key} | to_json | length) < {LONGEST_LIST} else []" for key in row.lists]
    return f"{lists}{{{{ {{{', '.join(members)}}} | to_json }}}}"


def _one_of_its_events(row: Entity) -> str | None:
    """Return a template that drops events of other entities, for which Home Assistant would log a warning."""
    if len(row.types) == 1 or row.topic:
        return None
    return f"{{{{ value if {_at('event_type')} in {list(row.types)} else '' }}}}"


def _at(key: str) -> str:
    """Return a subscript, because a dot would find `items` and other methods of the object first."""
    return "value_json" + "".join(f"['{part}']" for part in key.split("."))
