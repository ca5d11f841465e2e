"""Settings of the review page (`trace review --settings FILE`): who is believed, and what is bounded."""

import ipaddress
import json
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from trace_retriever.config.base import Section
from trace_retriever.config.promotion import VARIABLE
from trace_retriever.errors import ConfigError
from trace_retriever.io.jsonl import describe

LIMIT = r"^[0-9]{1,6} ?(/|per) ?(second|minute|hour)$"
HEADER = r"^[a-z][a-z0-9-]{0,62}$"


class ProxySettings(Section):
    """The gateway that names the user; without addresses its header is refused from everywhere."""

    addresses: tuple[str, ...] = Field((), description="Addresses or networks that requests of it come from.")
    user_header: str = Field("kubeflow-userid", pattern=HEADER, description="Header that names the user.")
    user_prefix: str = Field("", description="What is cut off the front of the name, such as `accounts:`.")
    secret_header: str = Field(
        "x-trace-proxy-secret", pattern=HEADER, description="Header of the shared secret."
    )
    secret_env: str | None = Field(
        None, pattern=VARIABLE, description="Variable with that secret; none: not asked for."
    )

    @field_validator("addresses")
    @classmethod
    def _networks(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            ipaddress.ip_network(address)
        return addresses


class ReviewSettings(Section):
    """The whole file."""

    hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1"), min_length=1, description="Host headers that are answered."
    )
    prefix: str = Field("", pattern=r"^(/[A-Za-z0-9._-]+)*$", description="Path that a gateway puts before.")
    https: bool = Field(False, description="People reach it through https: cookies are for https only.")
    proxy: ProxySettings = Field(ProxySettings(), description="The gateway that names the user.")
    local_login: bool | None = Field(
        None, description="Login with a password; by default only where no proxy is trusted."
    )
    users: str = Field(".trace/users.json", min_length=1, description="File of password and token hashes.")
    idle_minutes: float = Field(30, gt=0, le=1440, description="A session ends after so long without use.")
    session_hours: float = Field(10, gt=0, le=168, description="And after so long however it is used.")
    max_sessions: int = Field(1000, ge=1, description="Sessions at one time; the oldest make room.")
    login_limit: str = Field("5/minute", pattern=LIMIT, description="Failed logins of a name, of an address.")
    act_limit: str = Field("30/minute", pattern=LIMIT, description="Forms and calls that act, of a user.")
    read_limit: str = Field("3000/minute", pattern=LIMIT, description="All requests from an address.")
    max_body_bytes: int = Field(65_536, ge=1024, le=1_048_576, description="Largest body of a request.")
    body_seconds: float = Field(10, gt=0, le=120, description="Time in which a body must have come.")
    deliver_seconds: float = Field(15, gt=0, le=3600, description="Between two looks for webhooks to send.")

    @model_validator(mode="after")
    def _someone_can_enter(self) -> Self:
        if self.local_login is False and not self.proxy.addresses:
            raise ValueError("nobody could log in: trust a proxy (proxy.addresses) or allow local_login")
        return self

    @property
    def password_login(self) -> bool:
        """Whether people log in here."""
        return not self.proxy.addresses if self.local_login is None else self.local_login


def load_review(path: Path | None) -> ReviewSettings:
    """Read the settings; none given are the defaults.

    Raises:
        ConfigError: the file is missing or not YAML; an unknown key, a wrong type, a value out of bounds.
    """
    if path is None:
        return ReviewSettings()
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return ReviewSettings.model_validate_json(json.dumps(raw if raw is not None else {}))
    except FileNotFoundError:
        raise ConfigError("review settings not found", where=path) from None
    except ValidationError as error:
        raise ConfigError(describe(error), where=path) from None
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
        raise ConfigError(f"not valid YAML: {error}", where=path) from None
