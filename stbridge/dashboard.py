"""`stbridge dashboard`: prints a dashboard for Home Assistant."""

from dataclasses import dataclass

from stbridge import __version__
from stbridge.core.topics import Topics
from stbridge.core.wording import counted
from stbridge.errors import Failed
from stbridge.homeassistant.dashboard import dashboard
from stbridge.homeassistant.published import published_devices
from stbridge.homeassistant.yaml_text import as_yaml
from stbridge.mqtt.retained import read_retained
from stbridge.settings import Settings


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard.

    Attributes:
        text: its YAML.
        uncertain: the names of folders and devices whose entity IDs are not known.
    """

    text: str
    uncertain: tuple[str, ...]


def make_dashboard(settings: Settings, *, client_id: str | None = None) -> Dashboard:
    """Return a dashboard for the devices and entities in the discovery messages on the broker.

    Args:
        settings: the settings of the bridge; they need not contain an instance.
        client_id: the client ID; None derives one from the client ID of the bridge.

    Raises:
        BrokerUnavailable: the broker cannot be used, or refuses.
        Failed: there are no discovery messages of this bridge.
    """
    topics = Topics(settings.mqtt.base_topic, settings.homeassistant.discovery_prefix)
    found = published_devices(read_retained(settings.mqtt, [topics.discovery_filter], client_id=client_id), topics)
    if all(one.kind != "instance" for one in found):
        raise Failed(
            f"the broker has no instance of this bridge on {topics.discovery_filter}: start the bridge with "
            "homeassistant.enabled = true, and check mqtt.base_topic and homeassistant.discovery_prefix"
        )
    counts = (counted(sum(one.kind == kind for one in found), kind) for kind in ("instance", "folder", "device"))
    comment = (
        f"# Made by stbridge {__version__} for {', '.join(counts)}. To renew it, run `stbridge dashboard` again.\n"
    )
    known = [one for one in found if one.certain]
    uncertain = tuple(f"{one.instance} {one.name}" for one in found if not one.certain)
    return Dashboard(comment + as_yaml(dashboard(known)), uncertain)
