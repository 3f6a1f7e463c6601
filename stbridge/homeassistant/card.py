"""The card that fills itself: a markdown card whose template finds all devices of the bridge in Home Assistant.

The template reads few entities, because Home Assistant renders it again after each change of one that it has read. It
finds devices by their identifiers, so their names may change, and entities by the ends of their IDs.
"""

import json
from typing import Any

from stbridge.core.problems import ROWS
from stbridge.homeassistant.discovered import OBJECT_ID_PREFIX
from stbridge.homeassistant.templates import LISTED_ITEMS

LONGEST_TABLE = 15
"""Maximum number of folders and devices in the table of those that are not up to date."""

_TEMPLATE = r"""
{#- Syncthing, for all instances of the bridge. Nothing has to be changed here. -#}
{%- set fixes = {
FIXES
} -%}
{#- Names come from other devices: no character of them is formatting. -#}
{%- macro text(value) -%}
{%- set plain = value | string | regex_replace('\\s+', ' ') -%}
{{ plain | regex_replace('([!#$%()*+,./:;=?@^_`{|}~\\[\\]\\\\-])', '\\\\\\1') | e }}
{%- endmacro -%}
{%- macro of(device, end, domain='sensor') -%}
{{ device.entities | select('match', domain ~ '\\..*_' ~ end ~ '(_\\d+)?$') | first | default('sensor.none') }}
{%- endmacro -%}
{%- set ns = namespace(devices=[], problems=[], lines=[], rows=[], away=[], usual=0) -%}
{%- for id in integration_entities('mqtt') | map('device_id') | reject('none') | unique -%}
{%- for key in device_attr(id, 'identifiers') | map('last') if key is match('PREFIX') -%}
{%- set device = {'id': id, 'key': key, 'name': device_name(id), 'entities': device_entities(id)} -%}
{%- set ns.devices = ns.devices + [device] -%}
{%- endfor -%}
{%- endfor -%}
{%- set devices = ns.devices | sort(attribute='name') -%}
{%- for bridge in devices
  if '_bridge_' in bridge.key and is_state(of(bridge, 'connectivity', 'binary_sensor'), 'off') -%}
{%- set ns.problems = ns.problems + ['<ha-alert alert-type="error">**' ~ text(bridge.name)
  ~ '** is not running, or not connected to the broker. Start it, and see its log.</ha-alert>'] -%}
{%- endfor -%}
{%- for instance in devices if not instance.key is search('_(bridge|folder|device)_') -%}
{%- set name = instance.name | regex_replace('^Syncthing ', '') -%}
{%- set link = ' [Open](/config/devices/device/' ~ instance.id ~ ')' -%}
{%- set connection, problem = of(instance, 'connection'), of(instance, 'problem', 'binary_sensor') -%}
{%- set ns.rows = [] -%}
{%- set ns.away = [] -%}
{%- set ns.usual = 0 -%}
{%- set found = states(of(instance, 'conflicts')) | int(0) -%}
{%- set ns.lines = ns.lines + ['', '### ' ~ text(name)] -%}
{%- if states(connection) not in ('online', 'unavailable', 'unknown') -%}
{%- set ns.problems = ns.problems + ['<ha-alert alert-type="error">**' ~ text(name) ~ '** is not connected ('
  ~ text(states(connection)) ~ '): ' ~ text(state_attr(connection, 'message') or '') ~ link ~ '</ha-alert>'] -%}
{%- endif -%}
{%- if is_state(problem, 'on') -%}
{%- set listed = state_attr(problem, 'problems') or [] -%}
{%- for one in listed -%}
{%- set subject = one.label | default('', true) or one.folder | default('', true)
  or one.name | default('', true) or one.device | default('', true) -%}
{%- set where = name ~ (': ' ~ subject if subject else '') -%}
{%- set ns.problems = ns.problems + ['<ha-alert alert-type="warning">**' ~ text(where) ~ '**: ' ~ text(one.message)
  ~ '<br>' ~ (one.fix | default(fixes[one.code] | default(''))) ~ link ~ '</ha-alert>'] -%}
{%- endfor -%}
{%- if listed | length == 0 or listed | length >= LISTED -%}
{%- set ns.problems = ns.problems + ['<ha-alert alert-type="warning">**' ~ text(name)
  ~ '** may have more problems than are listed here.' ~ link ~ '</ha-alert>'] -%}
{%- endif -%}
{%- endif -%}
{%- for one in devices if one.key is match(instance.key ~ '_(folder|device)_') -%}
{%- set title = text(one.name[name | length + 1:] if one.name.startswith(name ~ ' ') else one.name) -%}
{%- set status = states(of(one, 'status')) -%}
{%- if status in ('Disconnected', 'Disconnected (inactive)') -%}
{%- set ns.away = ns.away + [title] -%}
{%- elif status in ('Up to date', 'Unshared', 'Unused') -%}
{%- set ns.usual = ns.usual + 1 -%}
{%- elif status not in ('unavailable', 'unknown') -%}
{%- set completion = of(one, 'completion') -%}
{%- set percent = states(completion) | float(-1) -%}
{%- set tenths = (percent / 10) | int -%}
{%- set end = as_datetime(state_attr(completion, 'sync_ends_at') or '', none) -%}
{%- set ns.rows = ns.rows + ['| ' ~ title ~ ' | ' ~ status ~ ' | '
  ~ ('▰' * tenths ~ '▱' * (10 - tenths) ~ '&nbsp;' ~ percent ~ '&nbsp;%' if percent >= 0 else '') ~ ' | '
  ~ (time_until(end) | replace(' ', '&nbsp;') if end and end > now() else '') ~ ' |'] -%}
{%- endif -%}
{%- set conflicts = of(one, 'conflicts') -%}
{%- if found > 0 and '_folder_' in one.key and states(conflicts) | int(0) > 0 -%}
{%- set ns.lines = ns.lines + ['- **Conflicts in ' ~ title ~ '**: ' ~ states(conflicts)] -%}
{%- for path in state_attr(conflicts, 'items') or [] -%}
{%- set ns.lines = ns.lines + ['  - ' ~ text(path)] -%}
{%- endfor -%}
{%- endif -%}
{%- endfor -%}
{%- for one in state_attr(of(instance, 'pending_devices'), 'devices') or [] -%}
{%- set ns.lines = ns.lines + ['- **Pending device**: ' ~ text(one.name or one.device) ~ ' (' ~ text(one.device)
  ~ '), from ' ~ text(one.address) ~ link] -%}
{%- endfor -%}
{%- for one in state_attr(of(instance, 'pending_folders'), 'folders') or [] -%}
{%- set ns.lines = ns.lines + ['- **Pending folder**: ' ~ text(one.label or one.folder) ~ ', from '
  ~ text(one.device) ~ link] -%}
{%- endfor -%}
{%- if ns.away -%}
{%- set ns.lines = ns.lines + ['- **Not connected**: ' ~ ns.away[:TABLE] | join(', ')
  ~ (' and ' ~ (ns.away | length - TABLE) ~ ' more' if ns.away | length > TABLE else '')] -%}
{%- endif -%}
{%- if ns.rows -%}
{%- set ns.lines = ns.lines + ['', '| | Status | | Time left |', '|---|---|---|---|'] + ns.rows[:TABLE] -%}
{%- if ns.rows | length > TABLE -%}
{%- set ns.lines = ns.lines + ['| and ' ~ (ns.rows | length - TABLE) ~ ' more | | | |'] -%}
{%- endif -%}
{%- elif is_state(problem, 'off') -%}
{%- set ns.lines = ns.lines + ['', 'Everything is up to date.' if ns.usual else 'Nothing is shared.'] -%}
{%- elif is_state(problem, 'unavailable') -%}
{%- set ns.lines = ns.lines + ['', 'Not available.'] -%}
{%- endif -%}
{%- endfor -%}
{%- if ns.devices -%}
{{ ns.problems | join('\n\n') }}
{{ ns.lines | join('\n') }}
{%- else -%}
No Syncthing instance was found. Is the bridge running, with discovery enabled?
{%- endif -%}
"""


def template() -> str:
    """Return the template of the card, in Home Assistant's template language."""
    fixes = ",\n".join(f"  {json.dumps(row.code)}: {json.dumps(row.fix)}" for row in ROWS)
    values = {"FIXES": fixes, "PREFIX": OBJECT_ID_PREFIX, "LISTED": str(LISTED_ITEMS), "TABLE": str(LONGEST_TABLE)}
    text = _TEMPLATE.strip()
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def card() -> dict[str, Any]:
    """Return the card."""
    return {"type": "markdown", "content": template()}
