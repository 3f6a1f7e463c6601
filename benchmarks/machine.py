"""Description of the machine and the software versions of a measurement."""

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tests.servers import manifest

LIBRARIES = ("syncthing-mqtt", "paho-mqtt", "urllib3", "pydantic", "pydantic-settings", "tenacity")


def description() -> dict[str, str]:
    """Return the machine and the versions of all components."""
    servers = manifest()
    return {
        "processor": f"{os.cpu_count()} cores, {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB",
        "system": f"{_distribution()}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "Syncthing": ", ".join(servers["syncthing"]),
        "Mosquitto": _first_line([servers["mosquitto"], "-h"]).removeprefix("mosquitto version "),
        "libraries": ", ".join(f"{library} {version(library)}" for library in LIBRARIES),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return "an unknown distribution"


def _first_line(command: Sequence[str]) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # -h exits with status 3
    return said.splitlines()[0] if said else "unknown"
