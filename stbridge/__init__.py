"""Syncthing on MQTT: publishes what Syncthing is doing and carries out commands.

`SyncthingClient` is useful by itself, without MQTT.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stbridge.syncthing.client import SyncthingClient

__version__ = "0.1.0"
__all__ = ["SyncthingClient", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the client when it is asked for: whoever wants only a part of stbridge need not load HTTP."""
    if name != "SyncthingClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stbridge.syncthing.client import SyncthingClient  # noqa: PLC0415 - the reason is above

    return SyncthingClient
