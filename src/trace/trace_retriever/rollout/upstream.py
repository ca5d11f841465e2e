"""What of a client's request goes to a serving process, and what of its answer comes back."""

import re
from collections.abc import Iterable, Mapping

# The faces of `trace serve` that clients may use; its metrics and the swap of its index are none of them.
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
PATHS = re.compile(
    rf"/(v2(/health/(live|ready)|/models(/{_NAME}(/(infer|ready))?)?)?|v1/models(/{_NAME}(:predict)?)?)?"
)
REQUEST_ID = "x-request-id"
_ID = re.compile(r"[\x21-\x7e]{1,128}")
# Of one connection only (RFC 9110, 7.6.1), or set anew by whoever sends on.
_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
    *("te", "trailer", "transfer-encoding", "upgrade", "host", "content-length"),
}


def allowed(method: str, path: str) -> bool:
    """Whether a client may ask this."""
    return method in ("GET", "POST") and PATHS.fullmatch(path) is not None


def forwarded(headers: Iterable[tuple[str, str]], request_id: str) -> dict[str, str]:
    """A request's headers as they go on."""
    kept = {name: value for name, value in headers if name.lower() not in _HOP}
    return {**kept, REQUEST_ID: request_id}


def returned(headers: Mapping[str, str], served_by: str) -> dict[str, str]:
    """An answer's headers as they come back: which version answered is said."""
    kept = {name: value for name, value in headers.items() if name.lower() not in _HOP}
    return {**kept, "x-trace-served-by": served_by}


def usable_id(given: str | None) -> str | None:
    """A client's request id, where it is one."""
    return given if given and _ID.fullmatch(given) else None
