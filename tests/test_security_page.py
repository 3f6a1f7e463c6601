"""docs/security.md: each promise on the page names tests that exist, and its numbers are those of the code."""

import ast
import re
from functools import cache

import pytest

from stbridge.commands import dispatcher, operations, pending, refusals, replies, scans
from stbridge.core import envelope, json_text, payloads, topics
from stbridge.core.commands import BRIDGE_COMMANDS, COMMANDS
from stbridge.core.rules import conflicts
from stbridge.log import LONGEST_MESSAGE, SHORTEST_SECRET
from stbridge.mqtt import client, conflict, connection, nodes, quarantine, retained
from stbridge.settings import CommandSettings
from stbridge.syncthing import answers, connections, event_stream, poll, retry, transport
from stbridge.syncthing.calls.events import EXTRA_S
from tests.documents import ROOT, sections, text_of

PAGE = ROOT / "docs/security.md"

NO_PROMISES = {"Who is trusted with what", "Reporting a vulnerability"}
HELD = re.compile(r"<!-- held by:\s(?P<tests>[^>]*) -->")
NO_PROMISE = re.compile(r"<!-- not a promise: \w[^>]* -->")
TEST = re.compile(r"tests/[\w/]+\.py::test_\w+")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)

KIB, MIB = 1024, 1024 * 1024


def promises(section: str) -> list[str]:
    """Return the bullet points, table rows and paragraphs of a section, each with its comment.

    The text before a list or a table, which ends in a colon, and the head of a table are left out.
    """
    found: list[list[str]] = [[]]
    for line in CODE.sub("", section).splitlines():
        if line.startswith(("- ", "|")) or not line.strip():
            found.append([])
        found[-1].append(line)
    texts = ["\n".join(lines).strip() for lines in found]
    heads = {texts[number - 1] for number, text in enumerate(texts) if set(text) == set("|-")}
    return [one for one in texts if one and one not in heads and set(one) != set("|-") and not one.endswith(":")]


PROMISES = {
    f"{title}: {text[:40]}": text
    for title, section in sections(PAGE).items()
    if title not in NO_PROMISES
    for text in promises(section)
}


@cache
def functions_of(file: str) -> frozenset[str]:
    """Return the names of the functions of a file."""
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8") if path.is_file() else "")
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def is_there(test: str) -> bool:
    """Return whether a test function exists."""
    file, _, function = test.partition("::")
    return function in functions_of(file)


@pytest.mark.parametrize("promise", PROMISES.values(), ids=PROMISES)
def test_each_promise_names_the_tests_that_hold_it(promise: str) -> None:
    """A limit, advice or a link is no promise, and its comment states that."""
    assert len([*HELD.finditer(promise), *NO_PROMISE.finditer(promise)]) == 1


def test_each_test_that_the_page_names_exists() -> None:
    """A test that was renamed or removed no longer holds anything."""
    named = [one.strip() for found in HELD.finditer(text_of(PAGE)) for one in found["tests"].split(",")]
    assert [one for one in named if not TEST.fullmatch(one) or not is_there(one)] == []
    assert len(named) > len(PROMISES)


def test_each_comment_belongs_to_a_promise() -> None:
    """A comment with another form would count as none."""
    comments = re.findall(r"<!--.*?-->", text_of(PAGE), re.DOTALL)
    assert comments == [one[0] for text in PROMISES.values() for one in re.finditer(r"<!--.*?-->", text, re.DOTALL)]


def test_a_promise_without_a_test_is_found() -> None:
    """In a list, in a table and in a paragraph."""
    page = (
        "Intro:\n\n- one\n  line\n- two\n  <!-- held by: x -->\n\n| head |\n|---|\n| row |\n\ntext\n<!-- held by: y -->"
    )
    assert promises(page) == ["- one\n  line", "- two\n  <!-- held by: x -->", "| row |", "text\n<!-- held by: y -->"]
    assert [bool(HELD.search(one)) for one in promises(page)] == [False, True, False, True]


(REPUBLISH,) = BRIDGE_COMMANDS
ONCE_A_MINUTE = [f"`{row.name}`" for row in COMMANDS if row.every_s]
LARGE = [f"`{row.name}`" for row in COMMANDS if row.lane == "large"]
ALLOWED = [f"`{one}`" for one in CommandSettings().allow]

NUMBERS = (
    f"by `***` if they have at least {SHORTEST_SECRET} characters",
    f"longer than {json_text.LONGEST_TEXT} characters is cut",
    f"more than {json_text.LARGEST_PAYLOAD} characters",
    f"problems of an instance have at most {payloads.LISTED_ITEMS} items",
    f"A reply that is larger than {replies.LARGEST_REPLY // MIB} MiB",
    f"a message is cut after {LONGEST_MESSAGE} characters",
    f"{event_stream.POLL_S + EXTRA_S:.0f} s for the long poll",
    f"{operations.MAX_SCAN_S // 3600:.0f} h for a scan",
    f"takes at most {connections.CONNECT_S:.0f} s, a TLS handshake another {connections.CONNECT_S:.0f} s",
    f"reading stops when more than {answers.LARGEST_ERROR // KIB} KiB have arrived",
    f"documents with more than {json_text.DEEPEST} levels",
    f"the default is {', '.join(ALLOWED[:-1])} and {ALLOWED[-1]}",
    f"have more than {topics.LONGEST_RESPONSE_TOPIC} bytes",
    f"in at most {refusals.LONGEST_REASON} characters",
    f"at most {refusals.BURST} of them in a row",
    f"`{REPUBLISH.name}` runs at most once in {REPUBLISH.every_s:.0f} s",
    f"{', '.join(ONCE_A_MINUTE[:-1])} and {ONCE_A_MINUTE[-1]} run at most once a minute",
    f"back within {connection.SESSION_EXPIRY_S} s",
    f"waits in the bridge for {dispatcher.START_WITHIN_S:.0f} s is not executed",
    f"| a packet of more than {client.LARGEST_PACKET // MIB} MiB |",
    f"its first {client.LARGEST_PACKET // MIB} MiB are kept",
    f"closes the connection over them | {quarantine.MOST_SKIPPED} |",
    f"| a payload of a command | {envelope.LARGEST_PAYLOAD // MIB} MiB |",
    f"without a reply | {dispatcher.MAX_PENDING}, or {dispatcher.MAX_PENDING_BYTES // MIB} MiB |",
    f"executed at once | {dispatcher.MAX_WORKERS}, and {dispatcher.MAX_SCAN_WORKERS} scans |",
    f"has waited for {dispatcher.START_WITHIN_S:.0f} s gets `timeout`",
    f"| {scans.MAX_SCANS}, and {scans.MAX_JOINED} commands that wait for each |",
    f"| {', '.join(LARGE[:-1])} and {LARGE[-1]} of an instance | 1 at once |",
    f"to a command of the group `read`, or to `priority` | {replies.LARGEST_REPLY // MIB} MiB |",
    f"| any other answer of Syncthing | {transport.LARGEST_ANSWER // MIB} MiB |",
    f"from Syncthing or from the broker | {json_text.DEEPEST} |",
    f"| {pending.MAX_REPLIES}, for {pending.REPLY_KEPT_S // 60:.0f} minutes |",
    f"| single files to look up | {poll.MAX_PATHS} |",
    f"| conflict files of a folder | {conflicts.MOST_KEPT} |",
    f"| {retained.MOST_KEPT // MIB} MiB, and {retained.LARGEST_KEPT // KIB} KiB each |",
    f"| {retry.LONGEST_PAUSE_S:.0f} s for Syncthing and for the broker, {conflict.LONGEST_WAIT_S:.0f} s while another",
)


@pytest.mark.parametrize("words", NUMBERS)
def test_the_numbers_on_the_page_are_those_of_the_code(words: str) -> None:
    """Readers rely on them."""
    assert words in " ".join(text_of(PAGE).split())


def test_numbers_that_the_page_gives_once_are_equal_in_the_code() -> None:
    """The page has one number for each of these."""
    assert nodes.LONGEST_WAIT_S == retry.LONGEST_PAUSE_S
    assert refusals.EVERY_S == 60
    assert {row.every_s for row in COMMANDS} == {0, 60}
