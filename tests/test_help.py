"""The text of `stbridge --help` is correct."""

import re
import shlex
import shutil
import subprocess

import pytest

from stbridge.cli import MANUAL, SHELLS, _parser, main
from stbridge.core.commands import COMMANDS
from stbridge.settings_sources import CONFIG_VARIABLE, DOCKER_SECRETS, SYSTEM_FILE, SYSTEMD_SECRETS_VARIABLE
from tests.documents import ROOT, rows, text_of
from tests.machine import SETTINGS, variable_of

EXAMPLES = re.findall(r"^  stbridge (.+)$", MANUAL, re.MULTILINE)


def test_the_manual_lists_every_exit_status() -> None:
    """The list matches the one in the documents."""
    documented = {cells[0] for cells in rows(text_of(ROOT / "docs/command-line.md"), "exit status")}
    assert set(re.findall(r"^  (\d+) ", MANUAL, re.MULTILINE)) == documented


def test_the_manual_names_the_sources_of_settings() -> None:
    """Variables and files have the names that the bridge looks for."""
    assert set(re.findall(r"STBRIDGE_\w+", MANUAL)) <= {CONFIG_VARIABLE, *(variable_of(path) for path in SETTINGS)}
    for place in (CONFIG_VARIABLE, SYSTEMD_SECRETS_VARIABLE, str(DOCKER_SECRETS), str(SYSTEM_FILE)):
        assert place in MANUAL


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_in_the_manual_are_understood(example: str) -> None:
    """Every example can be run without a usage error."""
    assert _parser().parse_args(shlex.split(example)).subcommand == example.split(maxsplit=1)[0]


def test_help_shows_the_manual(capsys: pytest.CaptureFixture[str]) -> None:
    """The manual follows the subcommands, keeps its line breaks, and fits a terminal."""
    with pytest.raises(SystemExit):
        _parser().parse_args(["--help"])
    shown = capsys.readouterr().out
    assert MANUAL in shown
    assert max(len(line) for line in MANUAL.splitlines()) <= 110


def completion_for(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the output of `stbridge completion`."""
    with pytest.raises(SystemExit) as ended:
        main(["completion", shell])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_the_completion_of_every_shell_contains_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The shell completes the commands of the table, and the subcommands."""
    completions = completion_for(shell, capsys)
    assert [name for name in ("watch", *(command.name for command in COMMANDS)) if name not in completions] == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("stbridge che", {"check"}),
        ("stbridge call nas get_fo", {"get_folder_errors", "get_folder_statistics", "get_folder_status"}),
        ("stbridge run --log-level w", {"warning"}),
    ],
)
def test_bash_completes_what_is_typed(typed: str, completed: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A real bash completes the start of a word."""
    words = typed.split()
    script = f"""{completion_for("bash", capsys)}
COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1} COMP_LINE='{typed}' COMP_POINT={len(typed)}
_shtab_stbridge stbridge '{words[-1]}' '{words[-2]}'
printf '%s\n' "${{COMPREPLY[@]}}"
"""
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert set(result.stdout.split()) == completed
