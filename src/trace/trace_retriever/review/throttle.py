"""How often: logins, acts and requests are counted over a moving window."""

import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from trace_retriever.config.review import ReviewSettings
from trace_retriever.review.problems import Problem


class Throttle:
    """The limits of the settings, counted in memory. Each method raises `Problem` (429) beyond its limit."""

    def __init__(self, settings: ReviewSettings) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._login, self._act = parse(settings.login_limit), parse(settings.act_limit)
        self._read = parse(settings.read_limit)
        self._address = type(self._login)(10 * self._login.amount, self._login.multiples)

    def read(self, address: str) -> None:
        """Count a request from an address."""
        self._hit(self._read, "read", address)

    def act(self, user: str) -> None:
        """Count a form or call with which a user acts."""
        self._hit(self._act, "act", user)

    def login(self, name: str, address: str) -> None:
        """Count an attempt to log in, before it is known how it ends.

        A name is counted for each address apart, so that nobody elsewhere locks its owner out; an address may
        try ten times as often over all names.
        """
        self._hit(self._address, "address", address)
        self._hit(self._login, "login", name, address)

    def logged_in(self, name: str, address: str) -> None:
        """Forget the attempts that came before a right password."""
        self._limiter.clear(self._login, "login", name, address)

    def _hit(self, limit: RateLimitItem, *key: str) -> None:
        if not self._limiter.hit(limit, *key):
            reset = self._limiter.get_window_stats(limit, *key).reset_time
            wait = max(1, round(reset - time.time()) + 1)
            raise Problem(429, "too often", f"try again in {wait} seconds", wait)
