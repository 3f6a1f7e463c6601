"""The dashboard for Home Assistant: views, sections and standard cards for the devices that exist.

Tables list what is shown of an instance, a folder and a remote device. A row has no card where its entity does not
exist or is disabled by default.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stbridge.homeassistant.card import card
from stbridge.homeassistant.devices import STATUS as DEVICE_STATUS
from stbridge.homeassistant.folders import STATUS as FOLDER_STATUS
from stbridge.homeassistant.published import PublishedDevice, PublishedEntity

MOST_TILES = 12
"""Maximum number of folders or devices of an instance that the overview shows completely.

Of more, it shows only those that need attention; the views of folders and devices show all.
"""

MOST_COLUMNS = 4
HALF, WHOLE = 6, 12
"""Widths of a card, of the 12 columns of a section. A tile with a bar needs all of them."""

GRAPH_HOURS = 3
ACTIVITY_HOURS = 24

Card = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A tile that shows an entity.

    Attributes:
        key: the key of the entity.
        name: its name on the tile; empty for the name of the folder, the device or the entity.
        columns: its width.
        bar: whether a percentage is also shown as a bar.
        above: the tile is shown only while the number is above this value.
        states: the tile is shown only in these states.
    """

    key: str
    name: str = ""
    columns: int = HALF
    bar: bool = False
    above: int | None = None
    states: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A button in a heading.

    Attributes:
        key: the key of the button or switch.
        name: its text.
        icon: its icon.
        action: the action of Home Assistant.
        question: the question before the action; empty for none.
    """

    key: str
    name: str
    icon: str
    action: str = "button.press"
    question: str = ""


INSTANCE_TILES = (
    Tile(key="completion", name="Completion", bar=True, columns=WHOLE),
    Tile(
        key="connection",
        name="Connection",
        states=("starting", "unreachable", "unauthorized", "host_check", "tls_error"),
    ),
    Tile(key="restart_required", name="Restart required", states=("on",)),
    Tile(key="errors", name="Errors", above=0),
    Tile(key="conflicts", name="Conflicts", above=0),
    Tile(key="pending_devices", name="Pending devices", above=0),
    Tile(key="pending_folders", name="Pending folders", above=0),
    Tile(key="update", name="Update", states=("on",)),
)
TOTALS = (
    Tile(key="in_bytes_lifetime", name="Downloaded in total"),
    Tile(key="out_bytes_lifetime", name="Uploaded in total"),
)
FOLDER_TILES = (Tile(key="status"), Tile(key="completion", name="Completion"))
FOLDER_DETAILS = (
    Tile(key="status", name="Status", columns=WHOLE),
    Tile(key="completion", name="Completion", columns=WHOLE, bar=True),
    Tile(key="need_items", name="Out of sync items", above=0),
    Tile(key="need_bytes", name="Out of sync data", above=0),
    Tile(key="failed", name="Failed items", above=0),
    Tile(key="conflicts", name="Conflicts", above=0),
    Tile(key="local_changes", name="Locally changed items", above=0),
)
DEVICE_TILES = FOLDER_TILES
DEVICE_DETAILS = (
    Tile(key="status", name="Status", columns=WHOLE),
    Tile(key="completion", name="Completion", columns=WHOLE, bar=True),
)

ACTIONS: Mapping[str, tuple[Action, ...]] = {
    "folder": (
        Action(key="scan", name="Scan", icon="mdi:folder-search-outline"),
        Action(key="paused", name="Pause/resume", icon="mdi:play-pause", action="switch.toggle"),
    ),
    "device": (Action(key="paused", name="Pause/resume", icon="mdi:play-pause", action="switch.toggle"),),
}
"""The actions in the heading of a folder or device, by its kind."""

ACTIONS_ON_ALL: Mapping[str, tuple[Action, ...]] = {
    "folder": (Action(key="scan_all", name="Scan all", icon="mdi:folder-search-outline"),),
    "device": (
        Action(key="pause_all", name="Pause all", icon="mdi:pause", question="Pause all devices?"),
        Action(key="resume_all", name="Resume all", icon="mdi:play"),
    ),
}
"""The actions of an instance in the headings of its folders and its devices."""

GRAPH = (("in_rate", "Download"), ("out_rate", "Upload"))
EVENTS: Mapping[str, tuple[str, ...]] = {
    "instance": ("pending_event", "problem_event", "syncthing_event"),
    "folder": ("event",),
    "device": ("event",),
}
"""The entities whose events the activity shows, by kind of device."""

QUIET: Mapping[str, tuple[str, ...]] = {
    "folder": ("up_to_date", "unshared"),
    "device": ("up_to_date", "unused"),
}
"""The statuses that need no attention, by kind of device."""

WORDS: Mapping[str, Mapping[str, str]] = {"folder": FOLDER_STATUS, "device": DEVICE_STATUS}
TITLES: Mapping[str, str] = {"folder": "Folders", "device": "Devices"}
ICONS: Mapping[str, str] = {"folder": "mdi:folder-outline", "device": "mdi:laptop", "instance": "mdi:sync"}


def dashboard(devices: Sequence[PublishedDevice]) -> Card:
    """Return a dashboard: an overview, and a view each of all folders and of all devices.

    Args:
        devices: the devices that Home Assistant knows, in the order in which they are shown.
    """
    overview = {
        "title": "Overview",
        "path": "overview",
        "icon": "mdi:sync",
        "type": "sections",
        "max_columns": MOST_COLUMNS,
        "sections": [
            _section([{**card(), "grid_options": {"columns": "full"}}], span=MOST_COLUMNS),
            *_overview(devices),
        ],
    }
    views = [overview, *(view for kind in TITLES for view in _view(devices, kind))]
    return {"title": "Syncthing", "views": views}


def _overview(devices: Sequence[PublishedDevice]) -> Iterator[Card]:
    for instance in _of_kind(devices, "instance"):
        yield _section([_heading(instance.name, "instance", _connectivity(instance)), *_instance_cards(instance)])
        for kind, title in TITLES.items():
            members = _of_kind(devices, kind, instance.instance)
            if cards := list(_summary(members, kind)):
                heading = _heading(f"{instance.name}: {title.lower()}", kind, _actions(instance, ACTIONS_ON_ALL[kind]))
                yield _section([heading, *cards])
    events = [one.entities[key].entity_id for one in devices for key in EVENTS.get(one.kind, ()) if key in one.entities]
    if events:
        activity: Card = {
            "type": "logbook",
            "hours_to_show": ACTIVITY_HOURS,
            "target": {"entity_id": events},
            "grid_options": {"columns": WHOLE, "rows": 8},
        }
        yield _section([{"type": "heading", "heading": "Activity", "icon": "mdi:history"}, activity])


def _instance_cards(instance: PublishedDevice) -> Iterator[Card]:
    yield from _tiles(instance, INSTANCE_TILES)
    yield from (_request(one) for one in instance.requests)
    graph: list[Card] = [
        {"entity": instance.entities[key].entity_id, "name": name} for key, name in GRAPH if key in instance.entities
    ]
    if graph:
        yield {"type": "history-graph", "title": "Transfer", "hours_to_show": GRAPH_HOURS, "entities": graph}
    yield from _tiles(instance, TOTALS)


def _summary(members: Sequence[PublishedDevice], kind: str) -> Iterator[Card]:
    """Yield the cards of the folders or devices of an instance in the overview."""
    if len(members) <= MOST_TILES:
        for one in members:
            yield from _tiles(one, FOLDER_TILES if kind == "folder" else DEVICE_TILES)
        return
    rows: list[Card] = [
        {"entity": one.entities["status"].entity_id, "name": one.name} for one in members if "status" in one.entities
    ]
    if rows:
        yield {
            "type": "entity-filter",
            "entities": rows,
            "conditions": [{"condition": "state", "state_not": [WORDS[kind][status] for status in QUIET[kind]]}],
            "show_empty": False,
            "card": {"type": "entities", "title": "Need attention", "show_header_toggle": False},
        }


def _view(devices: Sequence[PublishedDevice], kind: str) -> Iterator[Card]:
    """Yield the view of all folders or devices, with a section for each."""
    several = len(_of_kind(devices, "instance")) > 1
    details = FOLDER_DETAILS if kind == "folder" else DEVICE_DETAILS
    sections: list[Card] = []
    for one in _of_kind(devices, kind):
        title = f"{one.instance} {one.name}" if several else one.name
        if tiles := list(_tiles(one, details)):
            sections.append(_section([_heading(title, kind, _actions(one, ACTIONS[kind])), *tiles]))
    if sections:
        yield {
            "title": TITLES[kind],
            "path": TITLES[kind].lower(),
            "icon": ICONS[kind],
            "type": "sections",
            "max_columns": MOST_COLUMNS,
            "sections": sections,
        }


def _section(cards: Sequence[Card], *, span: int = 1) -> Card:
    return {"type": "grid", **({"column_span": span} if span > 1 else {}), "cards": cards}


def _heading(text: str, kind: str, badges: Sequence[Card] = ()) -> Card:
    return {"type": "heading", "heading": text, "icon": ICONS[kind], **({"badges": badges} if badges else {})}


def _connectivity(instance: PublishedDevice) -> list[Card]:
    return [
        {"type": "entity", "entity": instance.entities[key].entity_id, "show_icon": True, "show_state": True}
        for key in ("connected", *(key for key, _ in GRAPH))
        if key in instance.entities
    ]


def _actions(one: PublishedDevice, rows: Sequence[Action]) -> list[Card]:
    return [
        {
            "type": "button",
            "icon": row.icon,
            "text": row.name,
            "tap_action": _action(row.action, one.entities[row.key], row.question),
        }
        for row in rows
        if row.key in one.entities
    ]


def _action(action: str, entity: PublishedEntity, question: str) -> Card:
    confirmation: Card = {"confirmation": {"text": question}} if question else {}
    target = {"entity_id": entity.entity_id}
    return {"action": "perform-action", "perform_action": action, "target": target, **confirmation}


def _tiles(one: PublishedDevice, rows: Sequence[Tile]) -> Iterator[Card]:
    for row in rows:
        if row.key in one.entities:
            yield _tile(row, one.entities[row.key], row.name or one.name)


def _tile(row: Tile, entity: PublishedEntity, name: str) -> Card:
    tile: Card = {"type": "tile", "entity": entity.entity_id, "name": name, "grid_options": {"columns": row.columns}}
    if row.bar:
        tile |= {"features": [{"type": "bar-gauge"}], "features_position": "inline"}
    if row.above is not None:
        tile["visibility"] = [{"condition": "numeric_state", "entity": entity.entity_id, "above": row.above}]
    if row.states:
        tile["visibility"] = [{"condition": "state", "entity": entity.entity_id, "state": list(row.states)}]
    return tile


def _request(entity: PublishedEntity) -> Card:
    """Return the tile of a button that accepts or dismisses a request; the button disappears with the request."""
    action = _action("button.press", entity, f"{entity.name}?")
    return {
        **_tile(Tile(key=""), entity, entity.name),
        "hide_state": True,
        "tap_action": action,
        "icon_tap_action": action,
        "visibility": [{"condition": "state", "entity": entity.entity_id, "state_not": "unavailable"}],
    }


def _of_kind(devices: Sequence[PublishedDevice], kind: str, instance: str = "") -> list[PublishedDevice]:
    return [one for one in devices if one.kind == kind and instance in ("", one.instance)]
