"""`deploy/promotion.yaml` as types: who may put a model into production, after which checks, and how."""

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from trace_retriever.config.base import Section
from trace_retriever.config.rollout import RolloutRules
from trace_retriever.errors import ConfigError
from trace_retriever.io.jsonl import describe

PROMOTION = Path("deploy/promotion.yaml")
USER = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$"
VARIABLE = r"^[A-Z_][A-Z0-9_]*$"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Role(StrEnum):
    """What a person may do; `ADMIN` may do all, and is still held to four eyes."""

    REQUESTER = "requester"
    REVIEWER = "reviewer"
    DEPLOYER = "deployer"
    ADMIN = "admin"


class Act(StrEnum):
    """What happens to a version: the kinds of entries of the log, and the events of webhooks."""

    REGISTER = "register"
    REQUEST = "request"
    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    CANARY = "canary"
    PROMOTE = "promote"
    ABORT = "abort"
    ROLLBACK = "rollback"


class Webhook(Section):
    """An address that is told of events, by signed POST requests (the Standard Webhooks headers)."""

    url: str = Field(max_length=2000, description="https://…; http only to this machine itself.")
    secret_env: str = Field(pattern=VARIABLE, description="Variable that holds the signing secret.")
    events: tuple[Act, ...] = Field(tuple(Act), min_length=1, description="Which; all where not given.")

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.username or parts.password or parts.fragment:
            raise ValueError(
                "an address without user, password and fragment; the secret has its own variable"
            )
        if not parts.hostname or not (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        ):
            raise ValueError("https://host/… (http only to localhost)")
        return url


class RegistryRules(Section):
    """Who may do what to a version, and what must hold before."""

    approvers: int = Field(1, ge=1, le=10, description="Approvals that a request needs, of different people.")
    four_eyes: bool = Field(True, description="Who made a request does not decide on it.")
    registrant_may_approve: bool = Field(True, description="Who registered a version may decide on it.")
    current_champion: bool = Field(
        False, description="The gate must have compared with the model that is in production now."
    )
    expires_hours: float = Field(72.0, gt=0, le=8760, description="Hours that a request stays open.")
    approval_hours: float = Field(168.0, gt=0, le=8760, description="Hours to use an approval in.")
    gates: Literal["all"] | tuple[str, ...] = Field(
        "all", description="Checks of the verdict that must hold; all: none of them may have failed."
    )
    roles: dict[str, tuple[Role, ...]] = Field({}, description="Person → roles; no one else may do anything.")
    webhooks: tuple[Webhook, ...] = Field((), description="Who is told.")

    @field_validator("roles")
    @classmethod
    def _people(cls, roles: dict[str, tuple[Role, ...]]) -> dict[str, tuple[Role, ...]]:
        if wrong := [name for name in roles if not re.fullmatch(USER, name)]:
            raise ValueError(f"names of people look like an account or a mail address, not like {wrong[0]!r}")
        if len({name.casefold() for name in roles}) < len(roles):
            raise ValueError("names that differ in capitals only would make two people of one person")
        return roles

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        deciding = sum(bool({Role.REVIEWER, Role.ADMIN} & {*roles}) for roles in self.roles.values())
        if self.roles and deciding < self.approvers:
            raise ValueError(f"approvers is {self.approvers}, and roles name {deciding} who may approve")
        return self


class Promotion(Section):
    """The whole file, `deploy/promotion.yaml`."""

    registry: RegistryRules = Field(RegistryRules(), description="Who may, and what must hold.")
    rollout: RolloutRules = Field(RolloutRules(), description="How it takes over, and what sends it back.")


def load_promotion(path: Path = PROMOTION) -> Promotion:
    """Read the rules.

    Raises:
        ConfigError: the file is missing or not YAML; an unknown key, a wrong type, a value out of bounds.
    """
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("promotion rules not found", where=path, remedy="name them with --rules") from None
    except IsADirectoryError:
        raise ConfigError(
            "a folder and not a file", where=path, remedy="name the file with --rules"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid YAML: {error}", where=path) from None
    try:
        return Promotion.model_validate_json(json.dumps(raw if raw is not None else {}))
    except ValidationError as error:
        raise ConfigError(describe(error), where=path) from None
    except TypeError as error:
        raise ConfigError(str(error), where=path) from None
