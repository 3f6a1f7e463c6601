"""A short run of the fuzzer that `make fuzz` runs for any number of minutes."""

from random import Random

import pytest

from tests import fuzzing
from tests.fuzzing import RUBBISH, TARGETS, main, spoilt

ROUNDS = {"syncthing": 60, "answers": 1000, "commands": 3000, "terminal": 150}


@pytest.mark.parametrize("target", TARGETS)
def test_no_corrupted_input_does_harm(target: str) -> None:
    """Corrupted documents of Syncthing, responses, commands and payloads are accepted or refused."""
    for number in range(ROUNDS[target]):
        try:
            TARGETS[target](Random(number))
        except Exception as error:
            error.add_note(f"found by --target {target} --seed {number}")
            raise


def test_documents_are_corrupted_in_many_ways() -> None:
    """A target that received valid or identical documents each time would find nothing."""
    good = {"a": [1, {"b": "c"}], "d": True}
    bad = {repr(spoilt(good, Random(number))) for number in range(1000)}
    assert len(bad) > 500
    assert good == {"a": [1, {"b": "c"}], "d": True}
    assert any(repr(one) in bad for one in RUBBISH)


def test_a_finding_is_reported_with_its_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same seed reproduces the finding."""

    def target(random: Random) -> None:
        assert random.random() < 0.9

    monkeypatch.setattr(fuzzing, "TARGETS", {"planted": target})
    monkeypatch.setattr("sys.argv", ["fuzzing", "--minutes", "1"])
    assert main() == 1
    number = capsys.readouterr().err.partition("--seed ")[2].partition(",")[0]
    monkeypatch.setattr("sys.argv", ["fuzzing", "--seed", number])
    assert main() == 1
    assert f"found by --target planted --seed {number}, after 0 rounds" in capsys.readouterr().err
