"""`stbridge check`: tests whether the bridge would work with the settings; each finding is a line with its fix."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from stbridge.bridge import Bridge
from stbridge.core import decode
from stbridge.core.model import Config
from stbridge.core.overrides import matches, without_effect
from stbridge.core.wording import counted
from stbridge.errors import MALFORMED, BrokerUnavailable, SyncthingError, with_setting_path
from stbridge.mqtt.diagnosis import address, encryption, exposed_password, interceptable_password
from stbridge.mqtt.probe import Probe, probe
from stbridge.settings import AlertSettings, MqttSettings, Settings, SyncthingSettings
from stbridge.syncthing import SyncthingClient, tls
from stbridge.syncthing.reads import read_version

EXAMPLE_SOCKET = "/run/syncthing/gui.sock"


class Level(StrEnum):
    """The severity of a finding; the value is the text that is shown."""

    OK = "ok"
    HINT = "hint"
    WARNING = "warn"
    PROBLEM = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the output: the result of one check."""

    level: Level
    text: str


def check(settings: Settings, client_id: str | None = None) -> list[Finding]:
    """Check everything that the bridge needs: the settings, the broker and every instance.

    Args:
        settings: the settings of the bridge.
        client_id: the client ID at the broker; None derives one from the client ID of the bridge.

    Raises:
        SettingsError: the settings contradict each other.
    """
    Bridge(settings)  # validates the settings without starting anything
    names = ", ".join(settings.syncthing)
    instances = {name: _syncthing(name, instance) for name, instance in settings.syncthing.items()}
    return [
        Finding(Level.OK, f"settings: {counted(len(settings.syncthing), 'Syncthing instance')}: {names}"),
        *_broker(settings.mqtt, client_id),
        *(
            found
            for name, instance in settings.syncthing.items()
            for found in _findings(name, instance, *instances[name])
        ),
        *_overrides(settings.alerts, {name: config for name, (_, config) in instances.items()}),
    ]


def verdict(findings: Sequence[Finding]) -> str:
    """Return the last line: whether the bridge would work."""
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    found = [
        *([counted(problems, "problem")] if problems else []),
        *([counted(warnings, "warning")] if warnings else []),
    ]
    return f"{' and '.join(found)} found" if found else "everything is fine"


def _broker(settings: MqttSettings, client_id: str | None) -> Iterator[Finding]:
    results = [(node, _probed(node, client_id)) for node in settings.nodes]
    works = any(isinstance(result, Probe) for _node, result in results)
    for node, result in results:
        if isinstance(result, Probe):
            where = f"{address(node)} accepts the bridge with MQTT {result.protocol}, {encryption(node)}"
            yield Finding(Level.OK, f"mqtt: {where}")
            if result.warning:
                yield Finding(Level.WARNING, f"mqtt: {result.warning}")
        else:  # the bridge needs one node
            yield Finding(Level.WARNING if works else Level.PROBLEM, f"mqtt: {result}")
        if warning := exposed_password(node):
            yield Finding(Level.WARNING, warning)
        if hint := interceptable_password(node):
            yield Finding(Level.HINT, hint)


def _probed(node: MqttSettings, client_id: str | None) -> Probe | BrokerUnavailable:
    try:
        return probe(node, client_id)
    except BrokerUnavailable as error:
        return error


def _overrides(settings: AlertSettings, configs: Mapping[str, Config | None]) -> Iterator[Finding]:
    """Find thresholds of folders and devices that exist on no instance; an unreadable instance may have any."""
    alerts = settings.thresholds()
    known = {name: None if config is None else matches(alerts, config) for name, config in configs.items()}
    for message in without_effect(alerts, known):
        yield Finding(Level.WARNING, message)


def _findings(name: str, settings: SyncthingSettings, finding: Finding, config: Config | None) -> Iterator[Finding]:
    yield finding
    if config is not None and (hint := _interceptable_key(name, settings)):
        yield Finding(Level.HINT, hint)


def _syncthing(name: str, settings: SyncthingSettings) -> tuple[Finding, Config | None]:
    """Return the finding for an instance and its configuration, None if it cannot be read."""
    where = f"syncthing.{name}"
    with SyncthingClient(
        settings.api_key.get_secret_value(),
        settings.url,
        verify=settings.verify,
        timeout_s=settings.timeout_s,
    ) as client:
        try:
            version = read_version(client).version
            own_id = decode.status(client.get_status()).device_id
            config = decode.config(client.get_config(), own_id).config
        except SyncthingError as error:
            message = with_setting_path(name, str(error))
            return Finding(Level.PROBLEM, message if message.startswith(where) else f"{where}: {message}"), None
        except MALFORMED as error:
            message = f"{where}.url: the response of {settings.url} does not look like Syncthing's ({error!r})"
            return Finding(Level.PROBLEM, message), None
    folders = counted(len(config.folders), "folder")
    return Finding(Level.OK, f"{where}: Syncthing {version} at {settings.url} with {folders}"), config


def _interceptable_key(name: str, settings: SyncthingSettings) -> str | None:
    """Return how to protect the API key from other users of this machine; None if no other user can receive it."""
    parts = urlsplit(settings.url)
    checked = parts.scheme == "unix" or (parts.scheme == "https" and settings.verify != tls.OFF)
    if checked or not tls.is_loopback(parts.hostname or ""):
        return None
    where = f"syncthing.{name}"
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    # Syncthing speaks TLS on the port of its GUI also while "Use HTTPS for GUI" is off.
    secure = f"https://{host}:{parts.port or (80 if parts.scheme == 'http' else 443)}{parts.path}"
    if fingerprint := tls.seen_fingerprint(secure):
        url = f'{where}.url = "{secure}" and ' if parts.scheme == "http" else ""
        fix = f'{url}{where}.verify = "{tls.PIN}{fingerprint}"'
    else:
        fix = f'Syncthing\'s GUI address to {EXAMPLE_SOCKET} and {where}.url = "unix://{EXAMPLE_SOCKET}"'
    return (
        f"while Syncthing is stopped, another user of this machine can listen at {settings.url} and receive "
        f"{where}.api_key. To prevent this, set {fix}."
    )
