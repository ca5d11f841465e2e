"""Structured logs: a JSON object a line, with a request's id, size and outcome, never its content."""

import logging
import re
import sys
import uuid

from pythonjsonlogger.json import JsonFormatter

LOGGER = logging.getLogger("trace_retriever.serving")
FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"
_GOOD = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def configure_logs(level: str = "INFO") -> None:
    """Have this package, uvicorn and gRPC log to stderr; uvicorn's own access log stays off."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(FIELDS, rename_fields={"levelname": "level", "asctime": "time"}))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for quiet in ("uvicorn.access", "httpx", "kserve", "kserve.trace"):
        logging.getLogger(quiet).setLevel(logging.WARNING)


def request_id(given: str | None) -> str:
    """The client's id where it is harmless, else a new one: it goes into logs and headers."""
    return given if given and _GOOD.fullmatch(given) else str(uuid.uuid4())
