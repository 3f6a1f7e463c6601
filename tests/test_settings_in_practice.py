"""Settings in real deployments: containers, clusters, files from other systems, and common mistakes."""

import pytest

from stbridge import settings_sources
from stbridge.bridge import Bridge
from stbridge.errors import SettingsError
from stbridge.local import with_local_syncthing
from stbridge.mqtt.diagnosis import exposed_password
from tests.machine import Machine

# --- white space, byte order marks, empty variables


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mqtt.host", " nas\n"),
        ("mqtt.username", "bridge\r\n"),
        ("mqtt.password", "\tsecret\n"),
        ("mqtt.port", "1884\n"),
    ],
)
def test_white_space_around_a_variable_is_removed(machine: Machine, key: str, value: str) -> None:
    """Kubernetes passes secrets with their final newline."""
    machine.environment({"STBRIDGE_MQTT__USERNAME": "someone", f"STBRIDGE_{key.replace('.', '__').upper()}": value})
    mqtt = machine.load().mqtt
    shown = {
        "host": mqtt.host,
        "username": mqtt.username,
        "password": mqtt.password.get_secret_value(),
        "port": mqtt.port,
    }
    assert str(shown[key.removeprefix("mqtt.")]) == value.strip()


def test_white_space_around_a_value_in_a_file_is_removed(machine: Machine) -> None:
    """White space at the ends is never an intended part of a host name or password."""
    machine.config('[mqtt]\nhost = " nas "\n[syncthing.nas]\nurl = "http://nas:8384 "\napi_key = " key\\n"\n')
    settings = machine.load()
    assert settings.mqtt.host == "nas"
    assert settings.syncthing["nas"].url == "http://nas:8384"
    assert settings.syncthing["nas"].api_key.get_secret_value() == "key"


def test_a_byte_order_mark_is_removed_from_a_file(machine: Machine) -> None:
    """Editors on Windows write one."""
    machine.config('\ufeff[mqtt]\nhost = "nas"\nusername = "bridge"\n')
    machine.docker_secret("mqtt_password", "\ufeffsecret\n")
    mqtt = machine.load().mqtt
    assert (mqtt.host, mqtt.password.get_secret_value()) == ("nas", "secret")


def test_an_empty_variable_does_not_override_a_secret_file(machine: Machine) -> None:
    """Compose files pass unset variables as empty ones."""
    machine.docker_secret("mqtt_password", "from the file")
    machine.environment({"STBRIDGE_MQTT__USERNAME": "bridge", "STBRIDGE_MQTT__PASSWORD": ""})
    assert machine.load().mqtt.password.get_secret_value() == "from the file"


@pytest.mark.parametrize(
    "name",
    ["MQTT__PORT", "MQTT__USERNAME", "MQTT__CLIENT_ID", "MQTT__TLS__CA_FILE", "MQTT__TLS__ENABLED", "ALERTS__UNSEEN"],
)
def test_an_empty_variable_counts_as_unset(machine: Machine, name: str) -> None:
    """The setting from a weaker source, or the default, is used; an empty path does not turn TLS on."""
    expected = machine.load()
    machine.environment({f"STBRIDGE_{name}": " \n"})
    settings = machine.load()
    assert settings.model_dump() == expected.model_dump()
    assert not settings.mqtt.uses_tls


def test_an_empty_variable_does_not_override_a_user_name(machine: Machine) -> None:
    """The user name may also be in a secret file."""
    machine.docker_secret("mqtt_username", "from the file")
    machine.environment({"STBRIDGE_MQTT__USERNAME": ""})
    assert machine.load().mqtt.username == "from the file"


def test_an_empty_secret_file_does_not_override_a_setting(machine: Machine) -> None:
    """A secret file that was not filled in counts as unset."""
    machine.config('[mqtt]\nusername = "bridge"\npassword = "from the settings"\n')
    machine.docker_secret("mqtt_password", "\n")
    assert machine.load().mqtt.password.get_secret_value() == "from the settings"


@pytest.mark.parametrize("key", ["password", "api_key"])
def test_an_empty_named_secret_file_is_a_fault(machine: Machine, key: str) -> None:
    """A file that a setting names must contain a value."""
    file = machine.file("secret", "\n")
    section, needed = {
        "password": ("mqtt", 'username = "bridge"'),
        "api_key": ("syncthing.nas", 'url = "http://nas"'),
    }[key]
    machine.config(f'[{section}]\n{needed}\n{key}_file = "{file}"\n')
    (fault,) = machine.faults()
    assert fault == f"{section}.{key}_file: {file} is empty: write the secret into it"


def test_the_name_of_the_settings_file_may_end_in_a_newline(machine: Machine) -> None:
    """The variable with the name of the file is stripped like the others."""
    file = machine.file("cluster.toml", '[mqtt]\nhost = "nas"\n')
    machine.environment({"STBRIDGE_CONFIG": f"{file}\n"})
    assert machine.load().mqtt.host == "nas"


NO_DURATION = 'must be a number of seconds, or a duration such as "30m", "12h" or "7d"'


def test_the_variables_for_syncthing_are_stripped(machine: Machine) -> None:
    """Syncthing's own variables may come from the same secrets."""
    machine.environment({"STGUIADDRESS": " 127.0.0.1:8384 \n", "STGUIAPIKEY": "key\n"})
    local = with_local_syncthing(machine.load()).syncthing["local"]
    assert (local.url, local.api_key.get_secret_value()) == ("http://127.0.0.1:8384", "key")


# --- variables that a cluster sets itself

KUBERNETES = {
    "STBRIDGE_SERVICE_HOST": "10.96.0.12",
    "STBRIDGE_SERVICE_PORT": "8385",
    "STBRIDGE_SERVICE_PORT_HTTP": "8385",
    "STBRIDGE_PORT": "tcp://10.96.0.12:8385",
    "STBRIDGE_PORT_8385_TCP": "tcp://10.96.0.12:8385",
    "STBRIDGE_PORT_8385_TCP_PROTO": "tcp",
    "STBRIDGE_PORT_8385_TCP_PORT": "8385",
    "STBRIDGE_PORT_8385_TCP_ADDR": "10.96.0.12",
    "STBRIDGE_MQTT_SERVICE_HOST": "fd00::12",
    "STBRIDGE_MQTT_SERVICE_PORT": "1883",
    "STBRIDGE_MQTT_SERVICE_PORT_MQTT_TLS": "8883",
    "STBRIDGE_MQTT_PORT": "tcp://[fd00::12]:1883",
    "STBRIDGE_MQTT_PORT_1883_TCP": "tcp://[fd00::12]:1883",
    "STBRIDGE_MQTT_PORT_1883_TCP_PROTO": "tcp",
    "STBRIDGE_MQTT_PORT_1883_TCP_PORT": "1883",
    "STBRIDGE_MQTT_PORT_1883_TCP_ADDR": "fd00::12",
}
"""The variables of a Kubernetes container if there are services `stbridge` and `stbridge-mqtt` (enableServiceLinks)."""


def test_variables_of_kubernetes_are_not_settings(machine: Machine) -> None:
    """Kubernetes sets them for every service whose name starts with `stbridge`, and the log names them."""
    machine.environment({**KUBERNETES, "STBRIDGE_MQTT__HOST": "nas"})
    assert machine.load().mqtt.host == "nas"
    assert set(settings_sources.variables_of_kubernetes({**KUBERNETES, "STBRIDGE_MQTT__HOST": "nas"})) == set(
        KUBERNETES
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STBRIDGE_MQTT_HOST", "nas"),
        ("STBRIDGE_MQTT_PORT", "1883 or so"),
        ("STBRIDGE_MQTT_PORT", "1883"),
        ("STBRIDGE_PORT", "8385"),
        ("STBRIDGE_MQTT_SERVICE_HOST", "nas.lan"),
    ],
)
def test_a_variable_that_looks_like_a_setting_is_a_fault(machine: Machine, name: str, value: str) -> None:
    """A misspelled setting must not be ignored like a variable of the cluster."""
    machine.environment({name: value})
    (fault,) = machine.faults()
    assert fault.startswith(f"{name}: no such setting")


# --- common mistakes


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('host = ""', "mqtt.host: must not be empty: write the name or address of the broker"),
        ('host = "nas:1884"', 'mqtt.host: must be only a name or address: write host = "nas" and port = 1884'),
        ('host = "[::1]"', 'mqtt.host: must be without brackets: write host = "::1"'),
        ('host = "[::1]:1884"', 'mqtt.host: must be only a name or address: write host = "::1" and port = 1884'),
        ('username = "a"\npassword = 1234', "mqtt.password: must be text: put it in quotes"),
        ('host = "nas:"', "mqtt.host: must be only a host name or address: set mqtt.port to the port"),
        ('host = "nas:mqtt"', "mqtt.host: must be only a host name or address: set mqtt.port to the port"),
        ('host = "[::1"', "mqtt.host: must be only a host name or address: set mqtt.port to the port"),
        ('keepalive_s = "soon"', f"mqtt.keepalive_s: {NO_DURATION}"),
        ('port = "mqtt"', "mqtt.port: must be a whole number"),
        ("[mqtt.tls]\ninsecure = 7", "mqtt.tls.insecure: must be true or false"),
        ("client_id = 7", "mqtt.client_id: must be text: put it in quotes"),
        ('password = "secret"', "mqtt.username: must be set with mqtt.password, which is not sent without it"),
    ],
)
def test_a_fault_shows_the_valid_format(machine: Machine, text: str, fault: str) -> None:
    """The reader does not need to look up the format."""
    machine.config(f"[mqtt]\n{text}\n")
    assert list(machine.faults()) == [fault]


@pytest.mark.parametrize(
    ("host", "transport"), [("::1", "tcp"), ("fe80::1%eth0", "tcp"), ("/run/mosquitto:1.sock", "unix")]
)
def test_an_address_with_colons_is_a_host(machine: Machine, host: str, transport: str) -> None:
    """IPv6 addresses and paths contain colons."""
    machine.config(f'[mqtt]\nhost = "{host}"\ntransport = "{transport}"\n')
    assert machine.load().mqtt.host == host


@pytest.mark.parametrize(("given", "seconds"), [('"7d"', 604_800), ('"30m"', 1800), ('"90"', 90), ("45.5", 45.5)])
def test_a_duration_may_have_a_unit(machine: Machine, given: str, seconds: float) -> None:
    """A unit is valid in every setting in seconds."""
    machine.config(
        f"[alerts]\nunseen = {given}\nflapping = {given}\n[alerts.folder.docs]\nstale = {given}\n"
        f'[poll]\nstatus = {given}\n[syncthing.nas]\nurl = "http://nas:8384"\ntimeout_s = {given}\n'
    )
    settings = machine.load()
    thresholds = settings.alerts.thresholds()
    assert thresholds.thresholds["unseen"] == thresholds.folders["docs"]["stale"] == seconds
    assert settings.alerts.flapping == settings.poll.status == settings.syncthing["nas"].timeout_s == seconds


def test_the_keepalive_may_have_a_unit(machine: Machine) -> None:
    """The keepalive is in whole seconds."""
    machine.config('[mqtt]\nkeepalive_s = "2m"\n')
    assert machine.load().mqtt.keepalive_s == 120


def test_a_threshold_may_be_longer_than_a_year(machine: Machine) -> None:
    """The maximum is ten years, with and without a unit."""
    machine.config('[alerts]\nunseen = "500d"\n')
    assert machine.load().alerts.thresholds().thresholds["unseen"] == 500 * 24 * 3600


@pytest.mark.parametrize("given", ['"soon"', '"7 weeks"', '"-1h"', "[1]", "true", "nan", "inf"])
def test_an_invalid_duration_is_a_fault(machine: Machine, given: str) -> None:
    """The message shows the valid format."""
    machine.config(f"[alerts]\nunseen = {given}\n")
    assert list(machine.faults()) == [f"alerts.unseen: {NO_DURATION}"]


# --- the nodes of a cluster

NO_NODE = 'must look like "n1", "n1:1883" or "[::1]:1883"'


def test_each_node_is_a_host_with_or_without_a_port(machine: Machine) -> None:
    """A node without a port has `mqtt.port`."""
    machine.config('[mqtt]\nport = 1999\nhosts = ["n1:1884", "n2", "[::1]:1885", "[fe80::1%eth0]", " 10.0.0.1 "]\n')
    nodes = machine.load().mqtt.nodes
    assert [(node.host, node.port) for node in nodes] == [
        ("n1", 1884),
        ("n2", 1999),
        ("::1", 1885),
        ("fe80::1%eth0", 1999),
        ("10.0.0.1", 1999),
    ]
    assert [node.nodes for node in nodes] == [(node,) for node in nodes]


def test_the_environment_has_the_nodes_as_json(machine: Machine) -> None:
    """Like every other list."""
    machine.environment({"STBRIDGE_MQTT__HOSTS": '["n1", "n2:1884"]'})
    assert machine.load().mqtt.addresses == (("n1", 1883), ("n2", 1884))


def test_without_nodes_the_broker_is_the_host(machine: Machine) -> None:
    """An empty list, or an empty variable of Docker Compose, is no list."""
    machine.config('[mqtt]\nhost = "nas"\nhosts = []\n')
    machine.environment({"STBRIDGE_MQTT__HOSTS": ""})
    mqtt = machine.load().mqtt
    assert mqtt.nodes == (mqtt,)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('hosts = ["n1", ""]', "entry 2 must not be empty: write the name or address of a node, or remove it"),
        ('hosts = ["n1:0"]', "entry 1 must have a port from 1 to 65535"),
        ('hosts = ["n1:70000"]', "entry 1 must have a port from 1 to 65535"),
        ('hosts = ["n1:"]', f"entry 1 {NO_NODE}"),
        ('hosts = ["n1:mqtt"]', f"entry 1 {NO_NODE}"),
        ('hosts = ["n1 n2"]', f"entry 1 {NO_NODE}"),
        ('hosts = ["[nas]:1883"]', f"entry 1 {NO_NODE}"),
        ('hosts = ["::1"]', 'entry 1 must have brackets: write "[::1]", or "[::1]:PORT"'),
        (
            'hosts = ["mqtt://me:topsecret@n1"]',
            "entry 1 must be only host or host:port: set mqtt.username and mqtt.password, not a URL",
        ),
        (
            'hosts = ["me:topsecret@n1"]',
            "entry 1 must be only host or host:port: set mqtt.username and mqtt.password, not a URL",
        ),
        (
            'hosts = ["n1", "N1:1883"]',
            "must not contain a node twice (a node without a port has mqtt.port): remove one of them",
        ),
        (
            'host = "localhost"\nhosts = ["n1"]',
            "must not be set with mqtt.host, which it replaces: remove one of them",
        ),
        (
            'transport = "unix"\nhosts = ["n1"]',
            "must not be set with mqtt.transport unix: set mqtt.host to the path of the socket",
        ),
        (
            'hosts = ["n1:8883", "n2"]',
            "must not mix port 8883 with other ports: set mqtt.tls.enabled, to use TLS with all nodes or with none",
        ),
    ],
)
def test_a_fault_in_the_list_of_nodes_shows_the_fix(machine: Machine, text: str, fault: str) -> None:
    """The message has the number of the entry, not the entry, which may contain a password."""
    machine.config(f"[mqtt]\n{text}\n")
    assert list(machine.faults()) == [f"mqtt.hosts: {fault}"]


@pytest.mark.parametrize(
    ("text", "uses_tls"),
    [
        ('hosts = ["n1:8883", "n2:8883"]', True),
        ('port = 8883\nhosts = ["n1", "n2"]', True),
        ('port = 8883\nhosts = ["n1:1883", "n2:1883"]', False),
        ('hosts = ["n1:8883", "n2"]\ntls.enabled = true', True),
        ('hosts = ["n1:8883", "n2"]\ntls.enabled = false', False),
        ('hosts = ["n1:8883", "n2"]\ntls.ca_file = "/ca.pem"', True),
    ],
)
def test_all_nodes_use_tls_or_none(machine: Machine, text: str, uses_tls: bool) -> None:
    """The password must not be unencrypted for some nodes only."""
    machine.config(f"[mqtt]\n{text}\n")
    mqtt = machine.load().mqtt
    assert {one.uses_tls for one in (mqtt, *mqtt.nodes)} == {uses_tls}


# --- TLS to the broker


@pytest.mark.parametrize("tls", ['ca_file = "/ca.pem"', 'cert_file = "/c.pem"', "insecure = true", "insecure = false"])
def test_any_tls_key_turns_tls_on(machine: Machine, tls: str) -> None:
    """Without TLS, the password would be sent unencrypted, although the user has set up TLS."""
    machine.config(f"[mqtt]\nport = 1883\n[mqtt.tls]\n{tls}\n")
    assert machine.load().mqtt.uses_tls


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            '[mqtt.tls]\nenabled = false\nca_file = "/ca.pem"\n',
            "mqtt.tls.enabled: must not be false together with mqtt.tls.ca_file, which needs TLS",
        ),
        (
            '[mqtt.tls]\nca_file = "/ca.pem"\ninsecure = true\n',
            "mqtt.tls.insecure: must not be true together with mqtt.tls.ca_file, which would not be used",
        ),
        (
            '[mqtt.tls]\nkey_file = "/key.pem"\n',
            "mqtt.tls.cert_file: must be set with mqtt.tls.key_file: the certificate that belongs to the key",
        ),
        (
            '[mqtt]\nhost = "/run/broker.sock"\ntransport = "unix"\n[mqtt.tls]\nenabled = true\n',
            "mqtt.tls.enabled: must not be set with mqtt.transport unix, which never leaves this machine",
        ),
        *(
            (
                f'[mqtt]\nhost = "/run/broker.sock"\ntransport = "unix"\n[mqtt.tls]\n{key} = {value}\n',
                f"mqtt.tls.{key}: must not be set with mqtt.transport unix, which never leaves this machine",
            )
            for key, value in (("ca_file", '"/ca.pem"'), ("cert_file", '"/c.pem"'), ("insecure", "true"))
        ),
    ],
)
def test_contradictory_tls_settings_are_faults(machine: Machine, text: str, fault: str) -> None:
    """A user must not take a connection for encrypted or checked when it is not."""
    machine.config(text)
    assert list(machine.faults()) == [fault]


@pytest.mark.parametrize("base_topic", ["home.sync", "my home", "größe", "a/$b"])
def test_a_base_topic_that_a_strict_broker_cannot_carry_is_a_fault(machine: Machine, base_topic: str) -> None:
    """The encoding applies only to IDs, and every topic starts with the base topic."""
    machine.config(f'[mqtt]\nbase_topic = "{base_topic}"\ntopic_encoding = "strict"\n')
    assert list(machine.faults()) == [
        'mqtt.base_topic: must be ASCII without space, ".", "*", ">" and "$", because mqtt.topic_encoding is strict'
    ]
    machine.config(f'[mqtt]\nbase_topic = "{base_topic}"\n')
    assert machine.load().mqtt.base_topic == base_topic


def test_no_contradiction_hides_another(machine: Machine) -> None:
    """All contradictions are reported at once."""
    machine.config(
        '[mqtt]\npassword = "secret"\n'
        '[mqtt.tls]\nenabled = false\ninsecure = true\nca_file = "/ca.pem"\nkey_file = "/k.pem"\n'
    )
    assert {fault.partition(":")[0] for fault in machine.faults()} == {
        "mqtt.username",
        "mqtt.tls.enabled",
        "mqtt.tls.insecure",
        "mqtt.tls.cert_file",
    }


@pytest.mark.parametrize(
    ("text", "exposed"),
    [
        ('host = "broker.lan"\npassword = "secret"', True),
        ('host = "192.0.2.7"\npassword = "secret"', True),
        ('host = "broker.lan"', False),
        ('host = "127.0.0.1"\npassword = "secret"', False),
        ('host = "::1"\npassword = "secret"', False),
        ('host = "localhost"\npassword = "secret"', False),
        ('host = "broker.lan"\npassword = "secret"\nport = 8883', False),
        ('host = "/run/broker.sock"\ntransport = "unix"\npassword = "secret"', False),
    ],
)
def test_a_password_sent_unencrypted_over_the_network_is_a_warning(machine: Machine, text: str, exposed: bool) -> None:
    """The log and `check` show it."""
    machine.config(f'[mqtt]\nusername = "bridge"\n{text}\n')
    warning = exposed_password(machine.load().mqtt) or ""
    assert ("mqtt.password is sent unencrypted to" in warning) == exposed
    assert "secret" not in warning


# --- URLs of Syncthing


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://nas:8384/rest", "leave out /rest: write http://nas:8384"),
        ("http://nas:8384/rest/", "leave out /rest: write http://nas:8384"),
        ("https://nas/syncthing/gui", "leave out /gui: write https://nas/syncthing"),
        ("http://nas:8384/index.html", "leave out /index.html: write http://nas:8384"),
        ("unix://run/st.sock", "must be unix:// and an absolute path: write unix:///run/st.sock"),
    ],
)
def test_the_url_of_a_page_is_not_a_url_of_syncthing(machine: Machine, url: str, fault: str) -> None:
    """Users copy the address from their browser."""
    machine.config(f'[syncthing.nas]\nurl = "{url}"\n')
    assert list(machine.faults()) == [f"syncthing.nas.url: {fault}"]


def test_a_path_prefix_of_a_reverse_proxy_is_kept(machine: Machine) -> None:
    """Only the pages of Syncthing itself are removed from the URL."""
    machine.config('[syncthing.nas]\nurl = "https://nas/sync/restaurant/"\n')
    assert machine.load().syncthing["nas"].url == "https://nas/sync/restaurant"


# --- raw events


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("ItemFinnished", "'ItemFinnished' is not a type of Syncthing event; did you mean ItemFinished?"),
        ("itemfinished", "'itemfinished' is not a type of Syncthing event; did you mean ItemFinished?"),
        ("Nonsense", "'Nonsense' is not a type of Syncthing event"),
    ],
)
def test_an_unknown_event_type_is_a_fault(machine: Machine, name: str, fault: str) -> None:
    """An event of such a type would never be published, without any message."""
    machine.config(f'[events]\nraw = ["StateChanged", "{name}"]\n')
    assert list(machine.faults()) == [f"events.raw: {fault}"]


@pytest.mark.parametrize(
    ("expressions", "fault"),
    [
        ('["(unclosed"]', "alerts.ignore_errors: '(unclosed' is not a regular expression: missing ), unterminated"),
        ('["fine", "*"]', "alerts.ignore_errors: '*' is not a regular expression: nothing to repeat"),
        ('[""]', "alerts.ignore_errors: must not be empty: to ignore every error, set alerts.system_errors = 0"),
    ],
)
def test_an_invalid_expression_is_a_fault(machine: Machine, expressions: str, fault: str) -> None:
    """The message contains the expression and its error."""
    machine.config(f"[alerts]\nignore_errors = {expressions}\n")
    (found,) = machine.faults()
    assert fault in found
    machine.config('[alerts]\nignore_errors = ["roof", "^cellar"]\n')
    alerts = machine.load().alerts.thresholds()
    assert [alerts.ignores(message) for message in ("the roof leaks", "a cellar leaks")] == [True, False]


def test_a_label_keeps_its_spelling_in_a_variable(machine: Machine) -> None:
    """The variable contains JSON, because names of variables have no lower case and no spaces."""
    machine.environment({"STBRIDGE_ALERTS__FOLDER": '{"My Photos": {"stale": "30d"}}'})
    assert machine.load().alerts.thresholds().folders == {"My Photos": {"stale": 30 * 24 * 3600}}


def test_no_unknown_event_type_hides_another(machine: Machine) -> None:
    """Each unknown type is reported with its suggestion."""
    machine.config('[events]\nraw = ["Failur", "Nonsense"]\n')
    (fault,) = machine.faults()
    assert "'Failur' is not a type of Syncthing event; did you mean Failure?" in fault
    assert "'Nonsense' is not a type of Syncthing event" in fault


# --- unknown names


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("SYNCTHING_NAS_URL", "STBRIDGE_SYNCTHING__NAS__URL"),
        ("SYNCTHING_MY_NAS_API_KEY", "STBRIDGE_SYNCTHING__MY_NAS__API_KEY"),
        ("SYNCTHING_NAS_API_KEY_FILE", "STBRIDGE_SYNCTHING__NAS__API_KEY_FILE"),
        ("MQTT_TLS_CA_FILE", "STBRIDGE_MQTT__TLS__CA_FILE"),
    ],
)
def test_single_underscores_get_a_suggestion(machine: Machine, name: str, suggestion: str) -> None:
    """The most common mistake: the message shows the correct name of the variable."""
    machine.environment({f"STBRIDGE_{name}": "x"})
    assert machine.faults()[0] == f"STBRIDGE_{name}: no such setting; did you mean {suggestion}?"


def test_a_misspelled_command_in_the_allow_list_has_a_suggestion(machine: Machine) -> None:
    """As for settings, the message suggests the similar name."""
    machine.config('[syncthing.nas]\nurl = "http://nas"\n[commands]\nallow = ["scna"]\n')
    with pytest.raises(SettingsError) as caught:
        Bridge(machine.load())
    assert caught.value.faults == (
        "commands.allow: 'scna' is neither a group (read, operate, admin) nor a command; did you mean scan?",
    )
