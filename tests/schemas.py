"""Checks messages by the published schemas, more strictly than users may: an unknown key is an error."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from stbridge.core.topics import Topics

SCHEMAS = Path(__file__).parent.parent / "docs/schemas"
WORDS = {"bridge_state": {b"online", b"offline"}, "state": {b"online", b"offline"}}
"""The kinds of topics whose payload is not JSON."""


def schema(kind: str) -> dict[str, Any]:
    """Return the published schema of a kind of topic."""
    found: dict[str, Any] = json.loads((SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8"))
    return found


def strict(one: Any) -> Any:
    """Return a schema that forbids keys that it does not name."""
    if isinstance(one, list):
        return [strict(item) for item in one]
    if not isinstance(one, dict):
        return one
    inner = {key: strict(value) for key, value in one.items()}
    is_object = isinstance(one.get("properties"), dict) and "required" in one
    return {"additionalProperties": False, **inner} if is_object and "allOf" not in one else inner


@cache
def validator(kind: str) -> Draft202012Validator:
    """Return the strict validator of a kind of topic."""
    return Draft202012Validator(strict(schema(kind)))


def faults(kind: str, value: Any) -> Iterator[str]:
    """Yield what is wrong with a payload, with the place of each fault."""
    for error in validator(kind).iter_errors(value):
        yield f"{kind}: {error.json_path}: {error.message}"


def command_validator(name: str) -> Draft202012Validator:
    """Return the validator of a command."""
    return Draft202012Validator(schema("command")["$defs"][name])


def faults_of(messages: Iterable[tuple[str, bytes]], topics: Topics) -> Mapping[str, list[str]]:
    """Return what is wrong with messages of a bridge, by topic.

    Args:
        messages: the topic and the payload of each; commands and cleared topics are not checked.
        topics: parses their topics.
    """
    found: dict[str, list[str]] = {}
    for topic, payload in messages:
        parsed = topics.parse(topic)
        if parsed is None or not payload or parsed[1].kind == "command":
            continue
        kind = parsed[1].kind
        if kind in WORDS:
            wrong = [] if payload in WORDS[kind] else [f"{kind}: {payload!r}"]
        else:
            wrong = list(faults(kind, json.loads(payload)))
        if wrong:
            found.setdefault(topic, []).extend(wrong)
    return found
