"""`stbridge check`: would the bridge work with these settings? One finding per line, with its fix."""

from dataclasses import dataclass

from stbridge.bridge import Bridge
from stbridge.core import decode
from stbridge.errors import MALFORMED, BrokerUnavailable, SyncthingError, with_setting_path
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
    Bridge(settings)  # builds everything without starting it
    names = ", ".join(settings.syncthing)
    return [
        Finding(ok=True, text=f"settings: {_counted(len(settings.syncthing), 'Syncthing instance')}: {names}"),
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
            version = decode.version(client.get_version()).version
            own_id = decode.status(client.get_status()).device_id
            folders = len(decode.config(client.get_config(), own_id).config.folders)
        except SyncthingError as error:
            message = with_setting_path(name, str(error))
            return Finding(ok=False, text=message if message.startswith(where) else f"{where}: {message}")
        except MALFORMED as error:
            return Finding(ok=False, text=f"{where}.url: {settings.url} does not answer as Syncthing does ({error!r})")
    return Finding(ok=True, text=f"{where}: Syncthing {version} at {settings.url} with {_counted(folders, 'folder')}")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
