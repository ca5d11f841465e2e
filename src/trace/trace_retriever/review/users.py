"""Who may log in: argon2 hashes of passwords and digests of tokens, in one file of mode 0600."""

import hashlib
import hmac
import os
import re
import secrets
import threading
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from trace_retriever.config.promotion import USER
from trace_retriever.errors import ConfigError, DataError
from trace_retriever.io.files import write_atomic
from trace_retriever.io.jsonl import describe
from trace_retriever.io.locks import claim

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_PASSWORD, MAX_PASSWORD = 12, 1024
_HASHING = threading.BoundedSemaphore(2)  # each takes 64 MiB: a burst of logins must not take all memory


class Token(BaseModel):
    """A token of the REST interface, by its digest: with 256 random bits it needs no salt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    created: datetime
    expires: datetime


class User(BaseModel):
    """One person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    password: str | None = None
    tokens: tuple[Token, ...] = ()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    users: dict[str, User] = {}


class Users:
    """The file of users; read again when it has changed, so that a removed user is out at once.

    Raises:
        DataError: the file is not what this package writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[tuple[int, int, int] | None, _File] = (None, _File())

    def credential(self, name: str) -> str | None:
        """What a session is bound to: a user's password hash; None where there is no such user."""
        user = self._content().users.get(name)
        return user.password if user else None

    def check(self, name: str, password: str) -> bool:
        """Whether the password is the user's; unknown users take as long as known ones."""
        from argon2.exceptions import InvalidHashError, VerificationError

        known = self.credential(name)
        try:
            with _HASHING:
                matches = _hasher().verify(known or _decoy(), password[: MAX_PASSWORD + 1])
        except (VerificationError, InvalidHashError):
            return False
        return matches and known is not None

    def holder(self, token: str, now: datetime) -> str | None:
        """The user whose token it is; None for an unknown or expired one."""
        digest, found = _digest(token), None
        for name, user in self._content().users.items():
            for known in user.tokens:
                if hmac.compare_digest(known.digest, digest) and now < known.expires:
                    found = name
        return found

    def add(self, name: str, password: str) -> None:
        """Add a user, or give one another password; their tokens go.

        Raises:
            ConfigError: a name that is no account's, or a password that is too short or too long.
        """
        if not re.fullmatch(USER, name):
            raise ConfigError(
                f"not the name of an account: {name!r}", remedy="such as ada or ada@example.org"
            )
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise ConfigError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
        self._change(name, User(password=_hasher().hash(password)))

    def remove(self, name: str) -> None:
        """Remove a user with all tokens.

        Raises:
            ConfigError: there is none of that name.
        """
        self._known(name)
        self._change(name, None)

    def add_token(self, name: str, days: float, now: datetime | None = None) -> str:
        """Give a user a new token; returns it, once: only its digest is kept."""
        token, now = f"trace_{secrets.token_urlsafe(32)}", now or datetime.now(UTC)
        user = self._known(name)
        alive = tuple(known for known in user.tokens if now < known.expires)
        new = Token(digest=_digest(token), created=now, expires=now + timedelta(days=days))
        self._change(name, User(password=user.password, tokens=(*alive, new)))
        return token

    def remove_tokens(self, name: str) -> None:
        """Take all tokens of a user away."""
        self._change(name, User(password=self._known(name).password))

    def _known(self, name: str) -> User:
        user = self._content().users.get(name)
        if user is None:
            raise ConfigError(f"no user {name!r}", where=self.path, remedy="`trace review add-user NAME`")
        return user

    def _change(self, name: str, user: User | None) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with claim(self.path.with_name(f".{self.path.name}.lock"), wait=True):
            content = self._content()
            users = {other: known for other, known in content.users.items() if other != name}
            if user is not None:
                users[name] = user
            _write_private(self.path, _File(users=users).model_dump_json(indent=2) + "\n")

    def _content(self) -> _File:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return _File()
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._read[0] != stamp:
            try:
                self._read = (stamp, _File.model_validate_json(self.path.read_bytes()))
            except ValidationError as error:
                raise DataError(describe(error), where=self.path, remedy="restore the file") from None
        return self._read[1]


def _write_private(path: Path, content: str) -> None:
    before = os.umask(0o077)
    try:
        write_atomic(path, content)
    finally:
        os.umask(before)


def _digest(token: str) -> str:
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _decoy() -> str:
    return _hasher().hash(secrets.token_urlsafe(32))
