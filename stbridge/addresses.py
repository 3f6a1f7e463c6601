"""Reads the addresses of the nodes of a broker: `n1`, `n1:1883`, `[::1]` or `[::1]:1883`."""

import ipaddress
import re

LARGEST_PORT = 65535

_NODE = re.compile(r"(?:\[(?P<address>[^\[\]/]+)\]|(?P<name>[^\s:\[\]/]+))(?::(?P<port>[0-9]{1,5}))?")


def is_ip_address(text: str) -> bool:
    """Return whether a text is an IPv4 or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def host_and_port(node: str, default_port: int) -> tuple[str, int]:
    """Return the host, without brackets, and the port of a node.

    Args:
        node: a text in which `fault_of_node` finds no fault.
        default_port: the port of a node without one.
    """
    found = _NODE.fullmatch(node)
    assert found is not None, "the settings were checked"
    return found["address"] or found["name"], int(found["port"] or default_port)


def fault_of_node(node: str) -> str | None:
    """Return what is wrong with the address of a node and how to fix it; None if nothing is wrong.

    The message does not contain a node that may contain a password.
    """
    if not node:
        return "must not be empty: write the name or address of a node, or remove it"
    if "://" in node or "@" in node:
        return "must be only host or host:port: set mqtt.username and mqtt.password, not a URL"
    if ":" in node and is_ip_address(node):
        return f'must have brackets: write "[{node}]", or "[{node}]:PORT"'
    found = _NODE.fullmatch(node)
    if found is None or (found["address"] and not is_ip_address(found["address"])):
        return 'must look like "n1", "n1:1883" or "[::1]:1883"'
    if found["port"] and not 1 <= int(found["port"]) <= LARGEST_PORT:
        return f"must have a port from 1 to {LARGEST_PORT}"
    return None
