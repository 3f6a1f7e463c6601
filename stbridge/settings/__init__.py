"""Defines the settings, with their defaults and checks; `settings_sources` reads them."""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    Field,
    SecretStr,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    SettingsConfigDict,
)

from stbridge.addresses import fault_of_node, host_and_port, is_ip_address
from stbridge.core.alerts import CONFLICT_INVENTORY, DEVICE, FLAPPING_S, FOLDER, Alerts
from stbridge.core.events import EVENT_TYPES, OTHER_TYPES
from stbridge.core.exclusions import KINDS
from stbridge.core.problems import ROWS as PROBLEMS
from stbridge.core.problems import Measure
from stbridge.core.suggestion import did_you_mean
from stbridge.core.topics import is_strict
from stbridge.settings.types import LONGEST_S, Duration, Seconds, Section, TopicPrefix, WholeSeconds
from stbridge.settings.web import WebSettings

PREFIX = "STBRIDGE_"
INSTANCE_NAME = re.compile(r"[a-z0-9_-]{1,32}")
SECURE_MQTT = 8883
"""The port that IANA assigned to MQTT over TLS."""

RESERVED_INSTANCE_NAME = "bridge"  # syncthing/bridge/... are the bridge's own topics


class TlsSettings(Section):
    """TLS to the broker."""

    enabled: bool | None = Field(
        None,
        description="Whether to use TLS. By default, TLS is used if the port is 8883 or another key of this table is "
        "set.",
    )
    ca_file: Path | None = Field(
        None, description="Certificate authority that signed the broker's certificate; by default, those of the system."
    )
    cert_file: Path | None = Field(None, description="Certificate of the bridge, for a broker that asks for one.")
    key_file: Path | None = Field(None, description="Private key of `mqtt.tls.cert_file`.")
    insecure: bool = Field(
        default=False, description="Accept any certificate. Any machine can then pose as the broker."
    )

    @property
    def asked_for(self) -> str | None:
        """The first key, other than `enabled`, that is set and has no effect without TLS; None if there is none."""
        keys = ("ca_file", "cert_file", "key_file", "insecure")
        return next((key for key in keys if getattr(self, key)), None)


class MqttSettings(Section):
    """The broker."""

    host: str = Field(
        "localhost",
        description="Host name or address of the broker; the path of its socket if `mqtt.transport` is `unix`.",
    )
    port: int = Field(1883, ge=1, le=65535, description="Port of the broker.")
    hosts: tuple[str, ...] = Field(
        (),
        description="Nodes of a cluster of brokers, tried in turn, in place of `mqtt.host`: `n1`, `n1:1884`, `[::1]` "
        "or `[::1]:1884`. A node without a port has `mqtt.port`. Either all nodes or none have port 8883, unless "
        "`mqtt.tls.enabled` is set.",
    )
    username: str = Field("", description="User name for the broker; empty for none.")
    password: SecretStr = Field(SecretStr(""), description="Password for the broker.")
    password_file: Path | None = Field(None, description="File that contains the password.")
    client_id: str = Field(
        "stbridge", min_length=1, description="MQTT client ID. Each bridge at a broker needs its own."
    )
    protocol: Literal["auto", "5", "3.1.1"] = Field(
        "auto", description="MQTT version: `5`, `3.1.1`, or `auto`, which tries 5 first."
    )
    transport: Literal["tcp", "websockets", "unix"] = Field(
        "tcp", description="How to connect: `tcp`, `websockets` or `unix`."
    )
    path: str = Field("/mqtt", description="Path of the URL if `mqtt.transport` is `websockets`.")
    keepalive_s: WholeSeconds = Field(
        30, ge=5, le=3600, description="MQTT keepalive: maximum number of seconds between two packets to the broker."
    )
    queued_events: int = Field(
        10_000,
        ge=1,
        description="Maximum number of events, and of replies, that are queued while the broker is unavailable. If "
        "there are more, the oldest are dropped.",
    )
    queued_mb: int = Field(
        64, ge=1, description="The same limits in megabytes. Of each retained topic, only the last value is queued."
    )
    base_topic: TopicPrefix = Field(
        "syncthing", description="Beginning of every topic: one or more levels, such as `fleet/berlin`."
    )
    topic_encoding: Literal["mqtt", "strict"] = Field(
        "mqtt",
        description="Which characters of an ID are percent-encoded in topics. `mqtt`: those that MQTT does not permit. "
        "`strict`: also spaces, `.`, `*`, `>`, `$` and everything that is not ASCII, for NATS and other brokers.",
    )
    updates_per_second: float = Field(
        2.0,
        ge=0,
        description="Maximum number of updates per second of a retained topic that keeps changing. Its last value is "
        "always published. 0: no limit.",
    )
    tls: TlsSettings = Field(TlsSettings(), description="TLS to the broker.")

    @property
    def strict_topics(self) -> bool:
        """Whether topics contain only characters that every broker can carry."""
        return self.topic_encoding == "strict"

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted: any key of `mqtt.tls` turns TLS on, also `insecure = false`."""
        if self.transport == "unix":
            return False
        if self.tls.enabled is not None:
            return self.tls.enabled
        secure = any(port == SECURE_MQTT for _host, port in self.addresses)
        return secure or bool(self.tls.model_fields_set - {"enabled"})

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each node of the broker, in the order of `hosts`; of the only node without `hosts`."""
        return tuple(host_and_port(entry, self.port) for entry in self.hosts) or ((self.host, self.port),)

    @property
    def nodes(self) -> "tuple[MqttSettings, ...]":
        """The settings of each node of the broker; without `hosts`, only these settings themselves."""
        if not self.hosts:
            return (self,)
        return tuple(
            self.model_copy(update={"host": host, "port": port, "hosts": (entry,)})
            for entry, (host, port) in zip(self.hosts, self.addresses, strict=True)
        )

    @field_validator("host")
    @classmethod
    def _a_host_alone(cls, value: str) -> str:
        """Refuse a URL, which may contain a password although messages show the host, and a host with a port."""
        if not value:
            raise ValueError("must not be empty: write the name or address of the broker")
        if value.startswith(("/", "@")):  # a path, with `unix`
            return value
        bracketed = re.fullmatch(r"\[([0-9a-fA-F:.%\w]+)\]", value)
        if bracketed:
            raise ValueError(f'must be without brackets: write host = "{bracketed[1]}"')
        if with_port := re.fullmatch(r"(?:\[([^\]/@]+)\]|([^:/@]+)):(\d{1,5})", value):
            alone = with_port[1] or with_port[2]
            raise ValueError(f'must be only a name or address: write host = "{alone}" and port = {with_port[3]}')
        if "://" in value or "@" in value:
            raise ValueError("must be only a host name or address: set mqtt.username and mqtt.password, not a URL")
        if set(value) & set(":[]") and not is_ip_address(value):
            raise ValueError("must be only a host name or address: set mqtt.port to the port")
        return value

    @field_validator("hosts")
    @classmethod
    def _hosts_with_ports(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is not a host with or without a port; the message has no entry that may contain a password."""
        for number, entry in enumerate(value, 1):
            if wrong := fault_of_node(entry):
                raise ValueError(f"entry {number} {wrong}")
        return value

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        found = [
            (key, text.format(needs_tls=f"mqtt.tls.{self.tls.asked_for}"))
            for key, applies, text in _CONTRADICTIONS
            if applies(self)
        ]
        if found:
            raise PydanticCustomError(CONTRADICTIONS, "contradictions", {"faults": found})
        return self

    @field_validator("protocol", mode="before")
    @classmethod
    def _number_is_fine(cls, value: object) -> object:
        return str(value) if isinstance(value, int | float) else value


_LOCAL_NAMES = re.compile(
    r"[^.]*"  # a container, or a name that only the local resolver can resolve
    r"|.*\.localhost"
    r"|.*\.(?:docker|containers)\.internal"  # names of the host, in containers of Docker and Podman
    r"|.*\.local\.hass\.io"  # apps of Home Assistant
    r"|.*\.svc(?:\.cluster\.local)?"  # services of Kubernetes
    r"|127(?:\.\d+)*"  # 127.1 is 127.0.0.1
)


def _is_for_people(url: str) -> bool:
    """Return whether the URL of Syncthing can also work in a browser on another machine."""
    parts = urlsplit(url)
    host = (parts.hostname or "").removesuffix(".")
    if parts.scheme == "unix" or "%" in host:  # the zone of a link-local address is a name on this machine
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return not _LOCAL_NAMES.fullmatch(host)
    address = getattr(address, "ipv4_mapped", None) or address
    return not (address.is_loopback or address.is_unspecified)


CONTRADICTIONS = "contradictions"
"""The type of a validation error that contains several faults, each with the key below its section."""


def _mixed_ports(mqtt: MqttSettings) -> bool:
    """Return whether some ports ask for TLS and others do not, and nothing else decides it."""
    decided = mqtt.tls.enabled is not None or mqtt.tls.model_fields_set - {"enabled"}
    return not decided and len({port == SECURE_MQTT for _host, port in mqtt.addresses}) > 1


_ON_A_SOCKET = "must not be set with mqtt.transport unix, which never leaves this machine"

_CONTRADICTIONS: Sequence[tuple[str, Callable[[MqttSettings], object], str]] = (
    (
        "username",
        lambda mqtt: mqtt.password.get_secret_value() and not mqtt.username,
        "must be set with mqtt.password, which is not sent without it",
    ),
    (
        "tls.enabled",
        lambda mqtt: mqtt.tls.enabled is False and mqtt.tls.asked_for,
        "must not be false together with {needs_tls}, which needs TLS",
    ),
    (
        "tls.insecure",
        lambda mqtt: mqtt.tls.insecure and mqtt.tls.ca_file,
        "must not be true together with mqtt.tls.ca_file, which would not be used",
    ),
    (
        "tls.cert_file",
        lambda mqtt: mqtt.tls.key_file and not mqtt.tls.cert_file,
        "must be set with mqtt.tls.key_file: the certificate that belongs to the key",
    ),
    (
        "base_topic",
        lambda mqtt: mqtt.strict_topics and not is_strict(mqtt.base_topic),
        'must be ASCII without space, ".", "*", ">" and "$", because mqtt.topic_encoding is strict',
    ),
    (
        "hosts",
        lambda mqtt: mqtt.hosts and "host" in mqtt.model_fields_set,
        "must not be set with mqtt.host, which it replaces: remove one of them",
    ),
    (
        "hosts",
        lambda mqtt: mqtt.hosts and mqtt.transport == "unix",
        "must not be set with mqtt.transport unix: set mqtt.host to the path of the socket",
    ),
    (
        "hosts",
        lambda mqtt: len({(host.lower(), port) for host, port in mqtt.addresses}) < len(mqtt.addresses),
        "must not contain a node twice (a node without a port has mqtt.port): remove one of them",
    ),
    (
        "hosts",
        _mixed_ports,
        "must not mix port 8883 with other ports: set mqtt.tls.enabled, to use TLS with all nodes or with none",
    ),
    ("tls.enabled", lambda mqtt: mqtt.transport == "unix" and mqtt.tls.enabled, _ON_A_SOCKET),
    ("tls.ca_file", lambda mqtt: mqtt.transport == "unix" and mqtt.tls.ca_file, _ON_A_SOCKET),
    ("tls.cert_file", lambda mqtt: mqtt.transport == "unix" and mqtt.tls.cert_file, _ON_A_SOCKET),
    ("tls.key_file", lambda mqtt: mqtt.transport == "unix" and mqtt.tls.key_file, _ON_A_SOCKET),
    ("tls.insecure", lambda mqtt: mqtt.transport == "unix" and mqtt.tls.insecure, _ON_A_SOCKET),
)
"""Settings of the broker that contradict each other: the wrong key, the condition, and how to fix it."""


class SyncthingSettings(Section):
    """One Syncthing instance; the name of the table is the instance name."""

    url: str = Field(description="Address of Syncthing's GUI: `http://...`, `https://...` or `unix:///path`.")
    api_key: SecretStr = Field(
        SecretStr(""), description="API key, from Syncthing's web page: Actions > Settings > General."
    )
    api_key_file: Path | None = Field(None, description="File that contains the API key.")
    verify: str = Field(
        "system",
        description="How Syncthing's certificate is verified: `system` (by the authorities of the system), the path of "
        "a certificate or of a CA certificate, `sha256:<fingerprint>`, or `off`.",
    )
    timeout_s: Seconds = Field(10.0, description="Seconds to wait for an answer of Syncthing.")
    gui_url: str = Field(
        "",
        description="Address of the GUI for browsers: Home Assistant's link *Visit*. By default it is `url`. There is "
        "no link if `url` is a loopback address, a unix socket, or a host name without a dot or of a container.",
    )

    @property
    def link(self) -> str | None:
        """The address of the GUI that users can open; None if there is none."""
        return self.gui_url or (self.url if _is_for_people(self.url) else None)

    @field_validator("gui_url")
    @classmethod
    def _a_web_address(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        is_web = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if not is_web or " " in value or not value.isprintable():
            raise ValueError("must look like https://nas.lan:8384 or http://192.168.1.20:8384")
        if "@" in parts.netloc:
            raise ValueError("must not contain a user name or password: every client of the broker can read it")
        if "?" in value or "#" in value:
            raise ValueError("must end with the path, without ? or #: every client of the broker can read it")
        return value

    @field_validator("url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme == "unix" and parts.netloc:
            raise ValueError(f"must be unix:// and an absolute path: write unix:///{parts.netloc}{parts.path}")
        if parts.scheme == "unix" and parts.path.startswith("/"):
            return value
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("must look like https://nas:8384, http://127.0.0.1:8384 or unix:///run/syncthing.sock")
        if parts.username or parts.password:
            raise ValueError("must not contain a user name or password: Syncthing's API accepts only api_key")
        if parts.query or parts.fragment:
            raise ValueError("must end with the path, without ? or #: messages show it, so it must not contain a token")
        if page := re.search(r"(?<!/)/(rest|gui|index\.html)/*$", value):
            raise ValueError(f"leave out /{page[1]}: write {value[: page.start()]}")
        return value.rstrip("/")

    @field_validator("verify")
    @classmethod
    def _a_check(cls, value: str) -> str:
        if value.startswith("sha256:") and not re.fullmatch(r"sha256:(?:[0-9a-fA-F]{2}:?){32}", value):
            raise ValueError("must be sha256: and the 64 hexadecimal digits of the certificate's fingerprint")
        return value


class HomeAssistantSettings(Section):
    """Home Assistant's MQTT discovery."""

    enabled: bool = Field(default=True, description="Publish discovery messages for Home Assistant.")
    discovery_prefix: TopicPrefix = Field("homeassistant", description="Home Assistant's discovery prefix.")
    child_devices: bool = Field(
        default=False,
        description="Show folders and remote devices as child devices of their instance, so that the page of the "
        "instance lists them. Home Assistant 2026.9 or later is required. A change removes all entities and adds them "
        "again.",
    )
    exclude: tuple[str, ...] = Field(
        (),
        description="What Home Assistant does not show, as patterns with `*` and `?`: `folder/` and the ID or label of "
        "folders, `device/` and the ID, short ID or name of devices, `entity/` and entity IDs as Home Assistant first "
        "creates them, such as `entity/sensor.syncthing_*_last_scan`.",
    )

    @field_validator("exclude")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            kind, _, glob = pattern.partition("/")
            if kind not in KINDS or not glob:
                raise ValueError(f"{pattern!r} must begin with folder/, device/ or entity/")
        return value


class CommandSettings(Section):
    """The commands that are allowed."""

    allow: tuple[str, ...] = Field(
        ("read", "operate", "restart"),
        description="Groups (`read`, `operate`, `admin`) and single commands that the bridge executes; `[]` for none.",
    )


class PollSettings(Section):
    """Intervals in seconds at which the bridge reads values for which Syncthing sends no event."""

    connections: Seconds = Field(
        60.0, description="Byte counters and addresses of connections, while nothing is transferred."
    )
    transfer: Seconds = Field(5.0, description="The same, while data is transferred.")
    status: Seconds = Field(150.0, description="Memory and uptime of Syncthing, its listeners and its discovery.")
    errors: Seconds = Field(120.0, description="Syncthing's own error list.")
    statistics: Seconds = Field(
        900.0, description="When devices were last seen; the last scan and the last changed file of folders."
    )
    reconcile: Seconds = Field(
        600.0, description="One folder and two completions, in turn, in case an event was missed."
    )
    upgrade: Seconds = Field(
        21600.0, description="Whether a newer version exists; Syncthing asks a server on the Internet."
    )


class EventSettings(Section):
    """Raw events of Syncthing."""

    raw: tuple[str, ...] = Field(
        (), description="Types of Syncthing events to publish as raw events, such as `ItemFinished`."
    )

    @field_validator("raw")
    @classmethod
    def _types_that_exist(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = (*EVENT_TYPES, *OTHER_TYPES)
        if unknown := [name for name in value if name not in known]:
            texts = (f"{name!r} is not a type of Syncthing event{did_you_mean(name, known)}" for name in unknown)
            raise ValueError(". ".join(texts))
        return value


_LIMITS: Mapping[Measure, Any] = {
    Measure.SWITCH: bool,
    Measure.COUNT: Annotated[int, Field(ge=0)],
    Measure.SECONDS: Annotated[Duration, Field(ge=0, le=LONGEST_S)],
    Measure.NOTICE: Annotated[Duration, Field(ge=0, le=LONGEST_S)],
}


def _thresholds(name: str, doc: str, *, subject: str | None = None) -> type[Section]:
    """Return a table with the thresholds of a subject, without defaults, or of all problems, with defaults."""
    rows = [row for row in PROBLEMS if subject in (None, row.subject)]
    fields: dict[str, Any] = {}
    for row in rows:
        limit = _LIMITS[row.measure]
        default = None if subject else bool(row.threshold) if row.measure is Measure.SWITCH else row.threshold
        description = f"{row.subject.capitalize()}, {row.measure.value}: {row.meaning}"
        fields[row.code] = (limit | None if subject else limit, Field(default, description=description))
    return create_model(name, __base__=Section, __doc__=doc, **fields)


FolderAlertSettings = _thresholds("FolderAlertSettings", "Thresholds for one folder.", subject=FOLDER)
DeviceAlertSettings = _thresholds("DeviceAlertSettings", "Thresholds for one device.", subject=DEVICE)


def _given(tables: Mapping[str, Section]) -> dict[str, dict[str, float]]:
    return {name: table.model_dump(exclude_none=True) for name, table in tables.items()}


class AlertSettings(_thresholds("Thresholds", "Thresholds of problems; 0 turns one off.")):  # type: ignore[misc]
    """Thresholds of problems; 0 turns one off."""  # mypy does not support a base class that is created at run time

    flapping: Duration = Field(
        FLAPPING_S,
        ge=0,
        le=LONGEST_S,
        description="Seconds after which a connection counts as stable. If a device connects or disconnects again "
        "earlier, that is published once its connection is stable.",
    )
    conflict_inventory: int = Field(
        CONFLICT_INVENTORY,
        ge=0,
        description="Maximum number of files of a folder that the bridge searches for conflict files when it starts; "
        "0: it searches no folder.",
    )
    ignore_errors: tuple[str, ...] = Field(
        (),
        description="Regular expressions. An entry of Syncthing's error list that matches one of them is not a "
        "problem. Always ignored are Syncthing's notice about running as a privileged user, and errors of folders, "
        "because the folder has a problem of its own.",
    )
    folder: dict[str, FolderAlertSettings] = Field(  # type: ignore[valid-type]  # as above
        {}, description="Thresholds for a single folder, by its ID, or by its label if that is unique."
    )
    device: dict[str, DeviceAlertSettings] = Field(  # type: ignore[valid-type]
        {}, description="Thresholds for a single device, by its ID, its short ID, or its name if that is unique."
    )

    @field_validator("ignore_errors")
    @classmethod
    def _regular_expressions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for expression in value:
            if not expression.strip():
                raise ValueError("must not be empty: to ignore every error, set alerts.system_errors = 0")
            try:
                re.compile(expression)
            except (re.error, RecursionError, OverflowError) as error:
                raise ValueError(f"{expression!r} is not a regular expression: {error}") from None
        return value

    def thresholds(self) -> Alerts:
        """Return the settings of this table as the type that the core uses."""
        own = {"flapping", "conflict_inventory", "ignore_errors", "folder", "device"}
        return Alerts(
            thresholds=self.model_dump(exclude=own),
            folders=_given(self.folder),
            devices=_given(self.device),
            flapping=timedelta(seconds=self.flapping),
            conflict_inventory=self.conflict_inventory,
            ignored_errors=tuple(map(re.compile, self.ignore_errors)),
        )


class LogSettings(Section):
    """The log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum level: `debug`, `info`, `warning` or `error`."
    )
    format: Literal["text", "json"] = Field(
        "text", description="Format: `text`, or `json` with one object on each line."
    )


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    mqtt: MqttSettings = Field(MqttSettings(), description=MqttSettings.__doc__)
    syncthing: dict[str, SyncthingSettings] = Field({}, description="One table per Syncthing instance.")
    homeassistant: HomeAssistantSettings = Field(HomeAssistantSettings(), description=HomeAssistantSettings.__doc__)
    commands: CommandSettings = Field(CommandSettings(), description=CommandSettings.__doc__)
    poll: PollSettings = Field(PollSettings(), description=PollSettings.__doc__)
    events: EventSettings = Field(EventSettings(), description=EventSettings.__doc__)
    alerts: AlertSettings = Field(AlertSettings(), description=AlertSettings.__doc__)
    web: WebSettings = Field(WebSettings(), description=WebSettings.__doc__)
    log: LogSettings = Field(LogSettings(), description=LogSettings.__doc__)

    @field_validator("syncthing")
    @classmethod
    def _instance_names(cls, value: dict[str, SyncthingSettings]) -> dict[str, SyncthingSettings]:
        for name in value:
            if not INSTANCE_NAME.fullmatch(name) or name == RESERVED_INSTANCE_NAME:
                raise ValueError(
                    f"{name!r} cannot be the name of an instance: use 1 to 32 of a-z, 0-9, _ and -, but not 'bridge'"
                )
        return value

    @model_validator(mode="after")
    def _prefixes_differ(self) -> Self:
        if self.mqtt.base_topic == self.homeassistant.discovery_prefix:
            raise ValueError("mqtt.base_topic and homeassistant.discovery_prefix must differ")
        return self
