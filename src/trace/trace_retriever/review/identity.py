"""Who asks: the user that a trusted gateway names, the one who logged in, or the holder of a token."""

import ipaddress
import logging
import os
import re
from dataclasses import dataclass

from starlette.requests import Request

from trace_retriever.config.promotion import USER
from trace_retriever.config.review import ProxySettings, ReviewSettings
from trace_retriever.errors import ConfigError
from trace_retriever.review.problems import Problem
from trace_retriever.review.sessions import same

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gateway:
    """A proxy whose header is believed.

    Attributes:
        networks: where its requests come from.
        secret: what it shows besides; None: not asked for.
    """

    settings: ProxySettings
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    secret: str | None

    @classmethod
    def of(cls, settings: ReviewSettings) -> "Gateway":
        """The gateway of some settings; its secret is read from the environment.

        Raises:
            ConfigError: the variable is not set, or holds less than 16 characters.
        """
        proxy = settings.proxy
        secret = os.environ.get(proxy.secret_env, "") if proxy.secret_env else None
        if secret is not None and len(secret) < 16:
            raise ConfigError(
                f"{proxy.secret_env} must hold the proxy's secret, 16 characters or more",
                remedy="set the variable, or drop proxy.secret_env",
            )
        return cls(proxy, tuple(ipaddress.ip_network(address) for address in proxy.addresses), secret)

    def user(self, request: Request) -> str | None:
        """The user that a request's header names; None where it has none.

        Raises:
            Problem: the header does not come from the gateway, or names nobody: it was forged.
        """
        names = request.headers.getlist(self.settings.user_header)
        if not names:
            return None
        if not (self._came_from_it(request) and self._knows_the_secret(request)):
            where = request.client.host if request.client else "nowhere"
            logger.warning("refused a header that names a user, from %s", where)
            raise Problem(403, "the header that names a user does not come from the gateway")
        name = names[0].removeprefix(self.settings.user_prefix)
        if len(names) != 1 or not re.fullmatch(USER, name):
            raise Problem(403, "the gateway's header does not name one user")
        return name

    def _came_from_it(self, request: Request) -> bool:
        try:
            address = ipaddress.ip_address(request.client.host if request.client else "")
        except ValueError:
            return False
        return any(address in network for network in self.networks)

    def _knows_the_secret(self, request: Request) -> bool:
        if self.secret is None:
            return True
        shown = request.headers.getlist(self.settings.secret_header)
        return len(shown) == 1 and same(shown[0], self.secret)
