"""The report of the benchmarks names the machine and the versions of everything that was measured."""

from benchmarks.machine import description
from stbridge import __version__


def test_the_report_has_the_version_of_every_component() -> None:
    """The distribution has another name than the package; a report would fail only after an hour of measurements."""
    described = description()
    assert f"syncthing-mqtt {__version__}, paho-mqtt 2." in described["libraries"]
    assert all(described.values())
