"""Syncthing on MQTT: publishes what Syncthing is doing and carries out commands."""

__version__ = "0.1.0"
