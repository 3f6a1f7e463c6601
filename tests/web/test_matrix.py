"""The matrix of folders and devices: which reports count, and what is sent."""

import base64
from typing import Any

from stbridge.web.matrix import (
    ATTENTION,
    MOST_CELLS,
    NOT_ACCEPTED,
    NOT_SHARED,
    OLD,
    PAUSED,
    UNKNOWN,
    WRONG,
    Matrix,
    own_value,
    reported_value,
)


def rows(matrix: Matrix) -> dict[str, dict[str, int]]:
    """Return the values by folder and device, after all changes."""
    matrix.take_changes()
    whole = matrix.whole()
    cells = base64.b64decode(whole["cells"])
    width = len(whole["devices"])
    return {
        folder: dict(zip(whole["devices"], cells[row * width : (row + 1) * width], strict=True))
        for row, folder in enumerate(whole["folders"])
    }


def two_instances() -> Matrix:
    """Return a matrix in which A and B share a folder with each other; A knows of a third device, too."""
    matrix = Matrix()
    for own, other in (("A", "B"), ("B", "A")):
        matrix.set_instance(own.lower(), online=True, device=own)
        matrix.set_folder(own.lower(), "docs", 100)
        matrix.set_connected(own.lower(), other, connected=True)
        matrix.set_report(own.lower(), other, "docs", 100)
    matrix.set_connected("a", "C", connected=True)
    matrix.set_report("a", "C", "docs", 40)
    return matrix


def test_a_machine_is_one_column() -> None:
    """An instance and the device that others see are the same machine."""
    assert rows(two_instances()) == {"docs": {"A": 100, "B": 100, "C": 40}}


def test_the_own_instance_knows_best() -> None:
    """What others last heard of a device does not matter while its own instance is online."""
    matrix = two_instances()
    matrix.set_folder("b", "docs", 63)
    assert rows(matrix)["docs"]["B"] == 63


def test_without_the_own_instance_others_count_as_old() -> None:
    """A device that nobody is connected to may have changed since."""
    matrix = two_instances()
    matrix.set_instance("b", online=False, device="B")
    assert rows(matrix)["docs"]["B"] == 100, "A is still connected to it"
    matrix.set_connected("a", "B", connected=False)
    assert rows(matrix)["docs"]["B"] == 100 + OLD


def test_the_lowest_current_report_counts() -> None:
    """One that reports less knows of newer changes; one that is offline does not count."""
    matrix = two_instances()
    matrix.set_connected("b", "C", connected=True)
    matrix.set_report("b", "C", "docs", 90)
    assert rows(matrix)["docs"]["C"] == 40
    matrix.set_instance("a", online=False, device="A")
    assert rows(matrix)["docs"]["C"] == 90


def test_removed_folders_and_devices_disappear() -> None:
    """Rows and columns exist only while an instance publishes them."""
    matrix = two_instances()
    matrix.set_report("a", "C", "docs", None)
    assert rows(matrix) == {"docs": {"A": 100, "B": 100}}
    matrix.remove("b")
    assert rows(matrix) == {"docs": {"A": 100, "B": 100}}, "A still reports about B"
    matrix.remove("a")
    assert rows(matrix) == {}
    assert (matrix.reports, matrix.instances) == (0, 0)


def test_only_changed_cells_are_sent() -> None:
    """A change of one cell does not send the other 100,000."""
    matrix = Matrix()
    for folder in range(40):
        matrix.set_report("a", "D", str(folder), 100)
    assert len(base64.b64decode(matrix.take_changes()["cells"])) == 40
    matrix.set_report("a", "D", "7", 50)
    position = matrix.folders.index("7")
    assert matrix.take_changes() == {"version": 1, "changed": [(position, 50 + OLD)]}
    assert matrix.take_changes() == {}
    for folder in range(40):
        matrix.set_report("a", "D", str(folder), 1)
    assert "cells" in matrix.take_changes(), "many changes are sent as a whole"


def test_a_matrix_that_is_too_large_is_empty() -> None:
    """Any client may publish any number of folders and devices."""
    matrix = Matrix()
    side = int(MOST_CELLS**0.5) + 1
    for number in range(side):
        matrix.set_report("a", f"D{number}", f"F{number}", 1)
    matrix.take_changes()
    assert matrix.folders == matrix.devices == []


def test_percentages_are_never_rounded_up() -> None:
    """100 means that nothing is missing."""
    cases: list[tuple[dict[str, Any], int]] = [
        ({"completion": 99.99}, 99),
        ({"completion": 100}, 100),
        ({"completion": 0}, 0),
        ({}, UNKNOWN),
    ]
    for payload, value in cases:
        assert own_value(payload) == reported_value(payload) == value


def test_states_replace_the_percentage() -> None:
    """The folder of a paused device has no percentage that means anything."""
    assert own_value({"status": "paused"}) == PAUSED
    assert own_value({"status": "stopped", "completion": 100}) == WRONG
    assert own_value({"status": "failed_items", "completion": 95}) == WRONG
    assert own_value({"status": "local_additions", "completion": 100}) == ATTENTION
    assert reported_value({"remote_state": "notSharing", "completion": 0}) == NOT_ACCEPTED
    assert reported_value({"remote_state": "paused", "completion": 3}) == PAUSED


def test_cells_that_nobody_shares_are_empty() -> None:
    """A folder that a device does not share is not incomplete there."""
    matrix = two_instances()
    matrix.set_folder("a", "music", 100)
    assert rows(matrix)["music"] == {"A": 100, "B": NOT_SHARED, "C": NOT_SHARED}
