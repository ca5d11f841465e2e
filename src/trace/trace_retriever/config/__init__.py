"""`params.yaml` as types: one section a step, each with its defaults, bounds and meaning."""

from trace_retriever.config.base import Section
from trace_retriever.config.params import (
    SECTIONS,
    check_section,
    load_params,
    load_section,
    section_type,
    with_overrides,
)

__all__ = [
    "SECTIONS",
    "Section",
    "check_section",
    "load_params",
    "load_section",
    "section_type",
    "with_overrides",
]
