"""Syncthing on MQTT: publishes the state and events of Syncthing instances and runs commands.

`SyncthingClient` can also be used on its own, without MQTT.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stbridge.syncthing.client import SyncthingClient

__version__ = "0.1.0"
__all__ = ["SyncthingClient", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the client only when it is used, so that other parts of stbridge do not load an HTTP library."""
    if name != "SyncthingClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stbridge.syncthing.client import SyncthingClient  # noqa: PLC0415 - the reason is above

    return SyncthingClient
