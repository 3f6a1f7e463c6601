"""The door to Syncthing: its REST API and its events. Only this package knows HTTP."""

from stbridge.syncthing.client import SyncthingClient

__all__ = ["SyncthingClient"]
