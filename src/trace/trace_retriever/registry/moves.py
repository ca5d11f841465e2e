"""The moves that there are; the same list is in the database, where triggers hold each update against it."""

from trace_retriever.config.promotion import Act
from trace_retriever.registry.types import RequestState, State

MOVES: dict[Act, frozenset[tuple[State, State]]] = {
    Act.REQUEST: frozenset({(State.CANDIDATE, State.REQUESTED)}),
    Act.APPROVE: frozenset({(State.REQUESTED, State.APPROVED)}),
    Act.REJECT: frozenset({(State.REQUESTED, State.REJECTED)}),
    Act.WITHDRAW: frozenset({(State.REQUESTED, State.CANDIDATE)}),
    Act.EXPIRE: frozenset({(State.REQUESTED, State.CANDIDATE), (State.APPROVED, State.CANDIDATE)}),
    Act.CANARY: frozenset({(State.APPROVED, State.CANARY)}),
    Act.PROMOTE: frozenset({(State.CANARY, State.PRODUCTION), (State.PRODUCTION, State.RETIRED)}),
    Act.ABORT: frozenset({(State.CANARY, State.RETIRED)}),
    Act.ROLLBACK: frozenset({(State.PRODUCTION, State.RETIRED), (State.RETIRED, State.PRODUCTION)}),
}
REQUEST_MOVES: frozenset[tuple[RequestState, RequestState]] = frozenset(
    {
        (RequestState.OPEN, RequestState.APPROVED),
        (RequestState.OPEN, RequestState.REJECTED),
        (RequestState.OPEN, RequestState.EXPIRED),
        (RequestState.OPEN, RequestState.WITHDRAWN),
        (RequestState.APPROVED, RequestState.EXPIRED),
    }
)
