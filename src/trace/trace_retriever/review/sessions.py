"""Sessions on the server: a signed cookie names one, everything else about it stays here."""

import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from itsdangerous import BadSignature, Signer

from trace_retriever.config.review import ReviewSettings

MAX_FORMS = 64


@dataclass
class Session:
    """One browser.

    Attributes:
        user: who logged in; None before.
        credential: the password hash at that time; another one ends the session. None behind a proxy.
        csrf: what every form of this session carries.
        forms: one-time word → the form that it was given to.
    """

    id: str
    user: str | None
    credential: str | None
    created: datetime
    seen: datetime
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    forms: OrderedDict[str, str] = field(default_factory=OrderedDict, repr=False)


class Sessions:
    """All sessions, in memory: a restart ends them.

    Args:
        settings: lifetimes and the bound on how many there are.
        clock: gives the time, in UTC.
    """

    def __init__(self, settings: ReviewSettings, clock: Callable[[], datetime]) -> None:
        self._settings, self._clock = settings, clock
        self._signer = Signer(secrets.token_bytes(32), salt="trace review session")
        self._all: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, user: str | None, credential: str | None = None) -> Session:
        """A new session; where there are too many, one that nobody logged in to goes, else the oldest."""
        now = self._clock()
        session = Session(secrets.token_urlsafe(32), user, credential, now, now)
        with self._lock:
            while len(self._all) >= self._settings.max_sessions:
                unused = next((key for key, known in self._all.items() if known.user is None), None)
                self._all.pop(unused if unused is not None else next(iter(self._all)))
            self._all[session.id] = session
        return session

    def end(self, session: Session | None) -> None:
        """Forget a session."""
        if session is not None:
            with self._lock:
                self._all.pop(session.id, None)

    def cookie(self, session: Session) -> str:
        """The value of its cookie."""
        return self._signer.sign(session.id).decode()

    def find(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None where it was not made here, or is over."""
        if not cookie or len(cookie) > 256:
            return None
        try:
            key = self._signer.unsign(cookie).decode()
        except (BadSignature, UnicodeDecodeError):
            return None
        now = self._clock()
        with self._lock:
            session = self._all.get(key)
            if session is None:
                return None
            idle = timedelta(minutes=self._settings.idle_minutes)
            whole = timedelta(hours=self._settings.session_hours)
            if now - session.seen > idle or now - session.created > whole:
                del self._all[key]
                return None
            session.seen = now
            self._all.move_to_end(key)
        return session

    def give(self, session: Session, form: str) -> str:
        """A word that one sending of a form uses up; the oldest of too many unsent forms is worth nothing."""
        word = secrets.token_urlsafe(24)
        with self._lock:
            session.forms[word] = form
            while len(session.forms) > MAX_FORMS:
                session.forms.popitem(last=False)
        return word

    def take(self, session: Session, form: str, word: str) -> bool:
        """Use a word up; False where it was used before, is unknown, or was given to another form."""
        with self._lock:
            return session.forms.pop(word, None) == form


def same(one: str, other: str) -> bool:
    """Whether two words are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
