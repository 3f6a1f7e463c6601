"""The connection to the broker: receives topics, sends commands and waits for their replies, and reconnects."""

import json
import logging
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stbridge.backoff import Backoff
from stbridge.core.messages import Message, Received
from stbridge.core.topics import Address
from stbridge.core.wording import counted
from stbridge.errors import BrokerUnavailable, Failed, StbridgeError
from stbridge.mqtt.observer import Observer
from stbridge.mqtt.retained import RetainedReader, Selection
from stbridge.mqtt.session import beside, open_session
from stbridge.settings import MqttSettings
from stbridge.web.bases import BaseTopics
from stbridge.web.hub import Hub
from stbridge.web.reading import read_object

log = logging.getLogger(__name__)

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 15.0

TRANSACTION = "web-"
"""The beginning of the transactions of the page's commands."""

MOST_COMMANDS = 100
"""Maximum number of commands that wait for their replies."""

Reply = dict[str, Any]


class Feed:
    """Connects the hub with the broker.

    Args:
        settings: the settings of the broker.
        bases: the base topics.
        hub: gets every message.
        failed: called if retrying cannot help, with the reason.
        client_id: the client ID; None derives one from the client ID of the bridge.
    """

    def __init__(
        self,
        settings: MqttSettings,
        bases: BaseTopics,
        hub: Hub,
        failed: Callable[[StbridgeError], None],
        *,
        client_id: str | None = None,
    ) -> None:
        self._settings = settings
        self._bases = bases
        self._hub = hub
        self._failed = failed
        self._client_id = client_id
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._woken = threading.Event()  # the connection is closed, or there are topics to ask for
        self._asked: Sequence[str] = ()
        self._observer: Observer | None = None
        self._lock = threading.Lock()  # guards the commands
        self._commands: dict[str, Callable[[Reply], None]] = {}
        self._thread = threading.Thread(target=self._run, name="web-broker", daemon=True)
        hub.ask = self._ask

    def start(self) -> None:
        """Start to connect."""
        self._thread.start()

    def stop(self) -> None:
        """Disconnect, or stop to connect."""
        self._stop.set()
        self._end()
        if observer := self._observer:
            observer.stop()
        if self._thread.is_alive():
            self._thread.join()

    # --- its own thread

    def _run(self) -> None:
        backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        logged = ""
        while not self._stop.is_set():
            try:
                reason = self._connection(backoff)
            except StbridgeError as error:  # the settings are wrong: BrokerUnavailable is handled there
                self._failed(error)
                return
            if self._stop.is_set():
                return
            self._hub.disconnected(reason)
            if reason != logged:
                log.warning("no connection to the broker: %s", reason)
                logged = reason
            self._stop.wait(backoff.next())

    def _connection(self, backoff: Backoff) -> str:
        """Connect, wait until the connection is lost, and return the reason."""
        self._ended.clear()
        self._asked = ()
        observer = Observer(
            self._settings,
            self._bases.filters,
            self._take,
            role="web",
            client_id=self._client_id,
            ended=self._end,
        )
        self._observer = observer  # before `start`, which `stop` can then abort
        try:
            if self._stop.is_set():
                return ""
            self._hub.expect_again()  # before `start`, which receives the first messages
            observer.start()
            self._hub.connected()
            backoff.reset()
            self._serve()
        except BrokerUnavailable as error:
            return str(error)
        finally:
            self._observer = None
            observer.stop()
        return str(observer.failure or "")

    def _serve(self) -> None:
        """Read again what the hub asks for, until the connection is lost."""
        while not self._ended.is_set():
            self._woken.wait()
            self._woken.clear()
            asked, self._asked = self._asked, ()
            if asked and (found := self._read_again(asked)) is not None:
                self._hub.answer(found)

    def _read_again(self, topics: Sequence[str]) -> Mapping[str, bytes] | None:
        """Return the retained messages of some topics; None if not all of them could be read.

        Another connection reads them, because on the own one the broker may drop them, as it may have done before.
        """
        reader = RetainedReader(Selection(topic_filters=topics), stop=self._ended)
        client_id = f"{self._client_id or beside(self._settings, f'web-{os.getpid()}')}-reader"
        try:
            with open_session(self._settings, client_id, reader.take, stop=self._ended) as session:
                found = reader.read(session)
        except BrokerUnavailable as error:
            log.warning("cannot read %s again: %s", counted(len(topics), "topic"), error)
            return None
        return found if reader.complete and not self._ended.is_set() else None

    def _end(self) -> None:
        self._ended.set()
        self._woken.set()

    # --- the hub's thread

    def _ask(self, topics: Sequence[str]) -> None:
        self._asked = topics
        self._woken.set()

    # --- the observer's thread

    def _take(self, received: Received) -> None:
        if self._bases.is_of_kind(received.topic, "response"):
            self._take_reply(received)
        else:
            self._hub.take(received)

    def _take_reply(self, received: Received) -> None:
        if not self._commands:
            return
        try:
            reply = read_object(received.payload)
        except ValueError:
            return
        transaction = reply.get("transaction")
        parsed = self._bases.parse(received.topic)
        if not isinstance(transaction, str) or parsed is None:
            return
        base, instance, _address = parsed
        with self._lock:
            answer = self._commands.pop(f"{base}/{instance}/{transaction}", None)
        if answer:
            answer(reply)

    # --- any thread

    def command(
        self, base: str, instance: str, name: str, arguments: Mapping[str, Any], answer: Callable[[Reply], None]
    ) -> str:
        """Send a command.

        Args:
            base: the base topic of the bridge.
            instance: the name of the instance.
            name: the name of the command.
            arguments: its arguments.
            answer: called with the reply, in another thread.

        Returns:
            what identifies it for `forget`.

        Raises:
            Failed: it cannot be sent now.
        """
        observer = self._observer
        transaction = TRANSACTION + secrets.token_hex(8)
        key = f"{base}/{instance}/{transaction}"
        with self._lock:
            if observer is None or not self._hub.is_connected:
                raise Failed("there is no connection to the broker")
            if len(self._commands) >= MOST_COMMANDS:
                raise Failed(f"{MOST_COMMANDS} commands are waiting for their replies: try again later")
            self._commands[key] = answer
        payload = json.dumps({**arguments, "transaction": transaction}).encode()
        observer.publish(
            Message(topic=self._bases.build(base, instance, Address("command", name=name)), payload=payload)
        )
        return key

    def forget(self, key: str) -> None:
        """Do not wait for the reply to a command any longer."""
        with self._lock:
            self._commands.pop(key, None)
