"""`stbridge check`: would the bridge work with these settings? One finding per line, with the cure."""

from dataclasses import dataclass

from stbridge.bridge import Bridge
from stbridge.errors import BrokerUnavailable, SyncthingError, with_setting_path
from stbridge.mqtt.probe import probe
from stbridge.settings import MqttSettings, Settings, SyncthingSettings
from stbridge.syncthing import SyncthingClient


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was tried and how it went."""

    ok: bool
    text: str


def check(settings: Settings) -> list[Finding]:
    """Try everything that the bridge needs.

    Raises:
        SettingsError: the settings contradict each other.
    """
    Bridge(settings)  # puts everything together without starting it
    return [
        Finding(ok=True, text=f"settings: {len(settings.syncthing)} Syncthing(s): {', '.join(settings.syncthing)}"),
        _broker(settings.mqtt),
        *(_syncthing(name, instance) for name, instance in settings.syncthing.items()),
    ]


def _broker(settings: MqttSettings) -> Finding:
    try:
        protocol = probe(settings)
    except BrokerUnavailable as error:
        return Finding(ok=False, text=f"mqtt: {error}")
    return Finding(ok=True, text=f"mqtt: {settings.host}:{settings.port} accepts the bridge with MQTT {protocol}")


def _syncthing(name: str, settings: SyncthingSettings) -> Finding:
    where = f"syncthing.{name}"
    with SyncthingClient(
        settings.api_key.get_secret_value(),
        settings.url,
        verify=settings.verify,
        timeout_s=settings.timeout_s,
    ) as client:
        try:
            version = client.get_version()["version"]
            folders = len(client.get_config()["folders"])
        except (SyncthingError, KeyError) as error:
            message = with_setting_path(name, str(error))
            return Finding(ok=False, text=message if message.startswith(where) else f"{where}: {message}")
    return Finding(ok=True, text=f"{where}: Syncthing {version} at {settings.url} with {folders} folder(s)")
