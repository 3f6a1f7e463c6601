"""The templates of a row: what Home Assistant makes of a payload.

They are made of keys of our own tables, never of names or IDs, which could hold a template themselves.
"""

from collections.abc import Mapping

from stbridge.homeassistant.entity import Entity

LONGEST_STATE = 255
"""Characters; Home Assistant takes no longer one."""

LISTED_ITEMS = 10
LONGEST_LIST = 5000
"""Characters of a list; Home Assistant does not record attributes of more than 16 KiB, and complains."""

SCALES: Mapping[str, int] = {"kB/s": 10**3, "MB": 10**6, "GB": 10**9}


def value_template(row: Entity) -> str | None:
    """Return the template of the state; None if the payload is the state. What is not known is `None` in both."""
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
    """Let only its own events through, where it listens to all: Home Assistant warns of every other one."""
    if len(row.types) == 1:
        return None
    return f"{{{{ value if {_at('event_type')} in {list(row.types)} else '' }}}}"


def _at(key: str) -> str:
    """Subscript, because a dot finds `items` and other methods of the object first."""
    return "value_json" + "".join(f"['{part}']" for part in key.split("."))
