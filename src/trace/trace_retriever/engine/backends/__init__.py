"""Who runs the network: our own engine, or an inference server's, behind one interface.

`local` is the engine of this package. `sglang` and `vllm` are imported only when they are asked for;
docs/backends.md says what is known of them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.errors import ConfigError
from trace_retriever.model.items import Item

BackendName = Literal["local", "sglang", "vllm"]
INSTALL = {
    "sglang": "install sglang 0.5.23 and the openai package that it pins (there is no extra: versions clash)",
    "vllm": 'install the extra: pip install "trace-retriever[vllm]"',
}


class Backend(Protocol):
    """Turns items into vectors; `Engine` is one."""

    def encode(
        self, items: Sequence[Item], *, reason: Reason = "auto", what: str | None = None
    ) -> Iterator[Encoded]:
        """One `Encoded` an item, in input order; see `Engine.encode`."""


def open_backend(
    name: BackendName,
    model_dir: Path,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    max_trace_tokens: int | None = None,
    route_threshold: float | None = None,
    **options: Any,
) -> Backend:
    """Open a backend on a model directory that `trace train` or `trace backbone` made.

    Args:
        name: which one.
        model_dir: the model.
        device: where `local` puts it; the others take the GPUs that they see.
        dtype: of the weights, such as "bfloat16".
        max_trace_tokens, route_threshold: as for `Engine`.
        options: the backend's own: those of `Engine`, of `sglang.Engine` or of `vllm.LLM`.

    Raises:
        CheckpointError: the directory is not a whole model.
        ConfigError: the backend is unknown, or its package is not installed.
    """
    limits: dict[str, Any] = {"max_trace_tokens": max_trace_tokens, "route_threshold": route_threshold}
    if name == "local":
        return _local(model_dir, device, dtype, {**limits, **options})
    if name not in INSTALL:
        raise ConfigError(f"unknown backend {name!r}", remedy="take local, sglang or vllm")
    from trace_retriever.engine.backends.frame import load_frame
    from trace_retriever.engine.backends.waves import Waves

    frame = load_frame(model_dir)
    try:
        if name == "sglang":
            from trace_retriever.engine.backends.sglang import SglangClient

            return Waves(frame, SglangClient(model_dir, frame, dtype=dtype, **options), **limits)
        from trace_retriever.engine.backends.vllm import VllmClient

        return Waves(frame, VllmClient(model_dir, frame, dtype=dtype, **options), **limits)
    except ImportError as error:
        raise ConfigError(
            f"the backend {name!r} cannot be imported: {error}",
            remedy=f"{INSTALL[name]} (Linux with a GPU; docs/backends.md), or take the backend local",
        ) from None


def _local(model_dir: Path, device: str, dtype: str, options: dict[str, Any]) -> Backend:
    import torch

    from trace_retriever.engine.engine import Engine
    from trace_retriever.model.bundle import load_model

    return Engine(load_model(model_dir, device=device, dtype=getattr(torch, dtype)), **options)
