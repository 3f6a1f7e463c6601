"""The settings of the web page."""

import re
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from stbridge.core.commands import allowed
from stbridge.settings.types import Section, topic_prefix


class WebSettings(Section):
    """The web page of `stbridge web`."""

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address that the page listens on. Any address other than a loopback address requires "
        "`web.password`.",
    )
    port: int = Field(8385, ge=1, le=65535, description="Port of the page.")
    username: str = Field("", description="User name of the page; empty if only the password is asked for.")
    password: SecretStr = Field(SecretStr(""), description="Password of the page; empty for none.")
    password_file: Path | None = Field(None, description="File that contains the password.")
    names: tuple[str, ...] = Field(
        (),
        description="Host names that browsers may open the page with, such as `nas.lan`, also those of a reverse "
        "proxy. IP addresses, `localhost` and `web.host` are always accepted.",
    )
    base_topics: tuple[str, ...] = Field(
        (),
        description="Base topics of the bridges that the page shows; a level may be `+`, as in `fleet/+`. By default "
        "it is `mqtt.base_topic`.",
    )
    allow: tuple[str, ...] = Field(
        (),
        description="Commands, or groups of commands, that the page has buttons for: `scan`, `pause`, `resume`, "
        "`clear_errors`, `accept_device`, `dismiss_device`, `accept_folder`, `dismiss_folder`. The bridge must allow "
        "them, too.",
    )
    insecure: bool = Field(
        default=False, description="Show the page without a password to everybody who can reach `web.host`."
    )
    ingress_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Additional port for the ingress of Home Assistant, which accepts only its Supervisor; 0: none.",
    )

    @field_validator("names")
    @classmethod
    def _names_alone(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(r"[\w.-]+", name):
                raise ValueError(f"{name!r} must be only a host name, such as nas.lan, without https:// and port")
        return value

    @field_validator("base_topics")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            topic_prefix("/".join("x" if level == "+" else level for level in pattern.split("/")))
        return value

    @field_validator("allow")
    @classmethod
    def _commands(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        allowed(value)
        return value
