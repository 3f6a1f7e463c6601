"""The templates that Home Assistant uses to read a payload.

They contain only keys of the tables, never names or IDs: a name could contain a template.
"""

from collections.abc import Mapping

from stbridge.homeassistant.entity import Entity

LONGEST_STATE = 255
"""Maximum length of a state in Home Assistant, in characters."""

LISTED_ITEMS = 10
LONGEST_LIST = 5000
"""Maximum length of a list in characters: Home Assistant does not record attributes above 16 KiB and logs a warning."""

SCALES: Mapping[str, int] = {"kB/s": 10**3, "MB": 10**6, "GB": 10**9}


def value_template(row: Entity) -> str | None:
    """Return the template of the state; None if the payload is the state. An unknown value is `None` in both."""
    if row.types:
        return _one_of_its_events(row)
    if not row.value:
        return None
    value = _at(row.value)
    if row.options:
        return f"{{{{ {value} if {value} in {list(row.options)} else none }}}}"
    if scale := SCALES.get(row.unit or ""):
        return f"{{{{ {value} / {scale} if {value} is number else none }}}}"
    if row.keep:
        part = f"[:{LONGEST_STATE}]" if row.keep == "start" else f"[-{LONGEST_STATE}:]"
        return f"{{{{ {value}{part} if {value} is string else none }}}}"
    return f"{{{{ {value} }}}}"


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
    if len(row.types) == 1:
        return None
    return f"{{{{ value if {_at('event_type')} in {list(row.types)} else '' }}}}"


def _at(key: str) -> str:
    """Return a subscript, because a dot would find `items` and other methods of the object first."""
    return "value_json" + "".join(f"['{part}']" for part in key.split("."))
