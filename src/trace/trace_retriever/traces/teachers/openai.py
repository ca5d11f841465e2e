"""A chat model behind any endpoint that speaks OpenAI's chat completions: a vendor's, or one's own vLLM."""

import email.utils
import json
import threading
import time
from pathlib import Path
from typing import Any

import openai
import tenacity
from openai.types.chat import ChatCompletion

from trace_retriever.config.teacher import OpenaiTeacherParams
from trace_retriever.errors import ConfigError, TeacherError
from trace_retriever.traces.teachers.base import UnansweredError
from trace_retriever.traces.teachers.chat import TeacherRequest
from trace_retriever.traces.teachers.limits import RateLimit, TokenBudget
from trace_retriever.traces.teachers.pictures import data_url

_PASSING = frozenset({408, 409, 425, 429})  # worth another try, as is everything from 500
_FATAL = {
    401: "the key is not accepted",
    403: "access is denied",
    404: "there is no such model or address",
    405: "the address is not one of chat completions",
}
_NO_COMPLETION = "an answer that is no chat completion"
_KEYLESS = "no-key"  # the client wants some text


class OpenaiChat:
    """Answers prompts through the `openai` package; see `Chat`.

    429, 5xx, timeouts and broken connections are tried again with exponential backoff, not before a server's
    `Retry-After`. Decoding is greedy. The key is held by the client alone and is in no message: what a
    server says in an error is not passed on, since some repeat the key.

    Args:
        params: endpoint, model and limits.
        key: the API key, or None for an endpoint that asks for none.
        max_tokens: longest answer, for a check of the budget.

    Raises:
        ConfigError: the budget is too small for a single request.
    """

    def __init__(self, params: OpenaiTeacherParams, key: str | None, max_tokens: int) -> None:
        if 0 < params.token_budget < max_tokens:
            raise ConfigError(
                f"a budget of {params.token_budget} tokens allows no answer of {max_tokens}",
                where="teacher.openai.token_budget",
            )
        self.name = params.model
        self.concurrency = params.concurrency
        self._params = params
        self._stopped = threading.Event()
        self._rate = RateLimit(params.requests_per_minute, self._stopped)
        self._budget = TokenBudget(params.token_budget)
        self._client: Any = openai.OpenAI(  # Any: the name of the limit on tokens is a setting
            api_key=key or _KEYLESS, base_url=params.base_url, max_retries=0, timeout=params.timeout_seconds
        )

    def complete(self, request: TeacherRequest) -> str:
        """Answer one prompt; see `Chat`. BudgetSpentError (a TeacherError) when the budget leaves no room."""
        messages = _messages(request, self._params.image_side)
        with self._budget.request(request.max_tokens) as used:
            try:
                completion = self._retrying()(self._try, messages, request.max_tokens)
            except openai.APIError as error:
                raise self._failure(error) from None
            except json.JSONDecodeError:  # the client does not wrap it
                raise UnansweredError(_NO_COMPLETION) from None
            if not isinstance(completion, ChatCompletion):  # such as a proxy's page
                raise UnansweredError(_NO_COMPLETION)
            self._settle(completion, used)
        return _content(completion, request.max_tokens)

    def stop(self) -> None:
        """Stop waiting and retrying; a try under way ends with its answer or its timeout."""
        self._stopped.set()

    def _retrying(self) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            stop=tenacity.stop_after_attempt(self._params.attempts)
            | tenacity.stop_when_event_set(self._stopped),
            wait=self._pause,
            sleep=tenacity.sleep_using_event(self._stopped),
            reraise=True,
        )

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Seconds to wait: doubling, longer when the server asks for it, never above the params' maximum."""
        backoff = self._params.backoff_seconds * 2 ** (state.attempt_number - 1)
        asked = _retry_after(state.outcome.exception()) if state.outcome else 0.0
        return float(min(max(backoff, asked), self._params.backoff_max_seconds))

    def _try(self, messages: list[dict[str, Any]], max_tokens: int) -> Any:
        self._rate.wait()
        if self._stopped.is_set():
            raise UnansweredError("stopped")
        limit = {self._params.limit_field: max_tokens}
        return self._client.chat.completions.create(
            model=self._params.model, messages=messages, temperature=0, **limit
        )

    def _settle(self, completion: ChatCompletion, used: list[int]) -> None:
        total = getattr(completion.usage, "total_tokens", None)
        if isinstance(total, int) and total > 0:
            used.append(total)
        elif self._params.token_budget:
            raise TeacherError(
                "the endpoint does not report the tokens it used, so a token budget cannot be kept",
                where=self._params.base_url,
                remedy="set teacher.openai.token_budget to 0",
            )

    def _failure(self, error: openai.APIError) -> Exception:
        """What a request's last error means: it is lost, or all are. Says nothing that the server said."""
        if isinstance(error, openai.APITimeoutError):
            return UnansweredError("timeout")
        if isinstance(error, openai.APIConnectionError):
            return UnansweredError("no connection")
        if not isinstance(error, openai.APIStatusError):
            return UnansweredError(_NO_COMPLETION)
        status = error.status_code
        if status in _FATAL or error.code == "insufficient_quota":
            reason = _FATAL.get(status, "the account's quota is used up")
            return TeacherError(
                f"{reason} (HTTP {status}, model {self.name!r})",
                where=self._params.base_url,
                remedy="check base_url, model and the key in the variable api_key_env; run again",
            )
        return UnansweredError(f"HTTP {status}")


def _content(completion: ChatCompletion, max_tokens: int) -> str:
    """The words of an answer; the client does not check what a server sends: any field may be anything."""
    choices: Any = completion.choices
    if not isinstance(choices, list | None):
        raise UnansweredError(_NO_COMPLETION)
    choice = choices[0] if choices else None
    content = getattr(getattr(choice, "message", None), "content", None)
    if not content:
        raise UnansweredError("empty answer")
    if not isinstance(content, str):
        raise UnansweredError(_NO_COMPLETION)
    if getattr(choice, "finish_reason", None) == "length":
        raise UnansweredError(f"answer cut at {max_tokens} tokens")
    return content


def _passes(error: BaseException) -> bool:
    if isinstance(error, openai.APIStatusError):
        if error.code == "insufficient_quota":
            return False
        return error.status_code >= 500 or error.status_code in _PASSING
    return isinstance(error, openai.APIConnectionError)  # timeouts are such, too


def _retry_after(error: BaseException | None) -> float:
    """Seconds that a server asks to wait, given as a number or as a date; 0 when it does not."""
    value = error.response.headers.get("retry-after") if isinstance(error, openai.APIStatusError) else None
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def _messages(request: TeacherRequest, side: int) -> list[dict[str, Any]]:
    pictures = [
        {"type": "image_url", "image_url": {"url": data_url(Path(path), side)}} for path in request.images
    ]
    return [
        {"role": "system", "content": request.system},
        {"role": "user", "content": [*pictures, {"type": "text", "text": request.text}]},
    ]
