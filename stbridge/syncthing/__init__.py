"""The adapter to Syncthing: its REST API and its events. Only this package uses HTTP."""

from stbridge.syncthing.client import SyncthingClient

__all__ = ["SyncthingClient"]
