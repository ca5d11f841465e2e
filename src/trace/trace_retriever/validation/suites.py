"""What is expected of each table: the suites that step `validate` runs."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

import pandas as pd

from trace_retriever.config.validate import (
    ImageParams,
    LeakParams,
    RouteParams,
    TextParams,
    TraceParams,
    ValidateConfig,
)
from trace_retriever.mbeir.records import CANDIDATE_ID_SPACE, QUERY_ID_SPACE, Modality
from trace_retriever.validation.chosen import Labels
from trace_retriever.validation.joins import Positives, qrels_parts, route_parts, routing_parts, trace_parts
from trace_retriever.validation.pools import Candidates
from trace_retriever.validation.queries import SCHEMA, Queries
from trace_retriever.validation.rules import (
    Rule,
    Suite,
    at_least_rows,
    between,
    equal,
    matches,
    mean_between,
    null,
    one_of,
    present,
    unique,
)
from trace_retriever.validation.spool import Frames, Spool
from trace_retriever.validation.tables import JUDGED, QUERY

ID = r"^\d+:\d+$"
MODALITIES = [modality.value for modality in Modality]


def _suite(name: str, parts: Frames, index: Sequence[str], rules: Sequence[Rule], whole: Frames) -> Suite:
    """A suite of one frame, where the table fits into one, else of parts."""
    first, *more = islice(parts(), 2)
    return Suite(name, parts, index, rules, whole) if more else Suite(name, first, index, rules)


def query_suite(queries: Queries, config: ValidateConfig) -> Suite:
    """Ids, modality, task, text lengths and positives of every query."""
    text = config.text
    rules = (
        null("record_shape", "a query has M-BEIR's keys, of their types", "problem"),
        matches("id_form", "a qid is 'dataset:number'", "qid", ID),
        between("id_bounds", "a qid's number is below 500,000", "number", 0, QUERY_ID_SPACE - 1),
        unique("id_unique", "a split has each qid once", "split", "qid"),
        equal("id_dataset", "a qid begins with its data set's number", "dataset", "pair_dataset"),
        one_of("modality_known", "the modality is one of M-BEIR's", "modality", MODALITIES),
        equal("modality_fields", "the modality says which fields are filled", "modality", "fields"),
        equal("modality_pair", "the modality is the pair's", "modality", "pair_modality"),
        equal("task_pair", "the task id is the pair's", "task_id", "pair_task"),
        between("text_length", "texts are within bounds", "characters", text.query_min, text.query_max),
        between("positive_count", "a query has positives", "positive_count", 1, config.max_positives),
        null(
            "positive_form",
            "a positive is a did 'dataset:number', its number below 10,000,000",
            "bad_positive",
        ),
    )
    columns = [name for name in SCHEMA.names if name != "positives"]
    parts = partial(queries.spool.parts, columns)
    return _suite("queries", parts, ("split", "pair", "line", "qid"), rules, queries.split_ids)


def candidate_suite(candidates: Candidates, params: TextParams) -> Suite:
    """Ids, modality and text lengths of every candidate of every pool, and agreement between pools."""
    rules = (
        null("record_shape", "a candidate has M-BEIR's keys, of their types", "problem"),
        matches("id_form", "a did is 'dataset:number'", "did", ID),
        between("id_bounds", "a did's number is below 10,000,000", "number", 0, CANDIDATE_ID_SPACE - 1),
        unique("id_unique", "a pool has each did once", "pool", "did"),
        null("id_content", "a did has one content in all pools", "conflict"),
        one_of("modality_known", "the modality is one of M-BEIR's", "modality", MODALITIES),
        equal("modality_fields", "the modality says which fields are filled", "modality", "fields"),
        equal("modality_pair", "a local pool holds the pair's modality", "modality", "pair_modality"),
        between(
            "text_length", "texts are within bounds", "characters", params.candidate_min, params.candidate_max
        ),
    )
    index = ("pool", "line", "did")
    return _suite("candidates", candidates.parts, index, rules, candidates.ids)


def qrels_suite(qrels: Spool, queries: Queries, positives: Positives) -> Suite:
    """Relevance judgements: form, task, and agreement with the queries."""
    rules = (
        null("line_form", "a line is 'qid 0 did relevance task_id'", "problem"),
        unique("judged_once", "a (query, candidate) is judged once", "split", "pair", "qid", "did"),
        between("relevance", "relevance is not negative", "relevance", 0, None),
        equal("task_pair", "the task id is the pair's", "task_id", "pair_task"),
        null("query_known", "the query exists", "unknown_qid"),
        null("positive_listed", "a relevant candidate is among the query's positives", "unlisted"),
    )
    index = ("split", "pair", "line", "qid", "did")
    parts = partial(qrels_parts, qrels, queries, positives)
    return _suite("qrels", parts, index, rules, partial(qrels.sources, index))


def positive_suite(positives: Positives) -> Suite:
    """Every positive exists in the pools that are searched, and is judged."""
    rules = (
        null("reachable_local", "enough of a pair's positives are in its own pool", "unreachable_local"),
        null("reachable_global", "enough of a pair's positives are in the global pool", "unreachable_global"),
        null("judged", "a positive is in the qrels", "unjudged"),
    )
    return _suite("positives", positives.parts, JUDGED, rules, _none)


def _none() -> Iterator[pd.DataFrame]:
    """Of a table without rules of the whole."""
    return iter(())


def image_suite(frame: pd.DataFrame, params: ImageParams) -> Suite:
    """Pictures open and are within limits."""
    rules = (
        null("opens", "a picture lies inside the data set, opens, and is within the limits", "problem"),
        between("shortest_side", "a picture is not too small to see", "shortest_side", params.min_side, None),
    )
    return Suite("images", frame, ("role", "id", "image"), rules)


def leak_suite(frame: pd.DataFrame, params: LeakParams) -> Suite:
    """Test queries that train has seen; each example names the train query."""
    rules = (
        null("same_query", "no test query is a train query", "same_query", params.max_same_query),
        null(
            "same_picture",
            "no test query's picture is a train query's",
            "same_picture",
            params.max_same_picture,
        ),
        null("same_scene", "no test query shows a scene of train", "same_scene", params.max_same_scene),
        null(
            "known_positive",
            "no test positive is shown in train",
            "known_positive",
            params.max_known_positive,
        ),
    )
    return Suite("leaks", frame, ("pair", "line", "qid"), rules)


def route_suite(labels: Labels, queries: Queries) -> Suite:
    """Labels: known values, of known queries, one each."""
    rules = (
        one_of("route_known", "a route is simple or complex", "route", ["simple", "complex"]),
        unique("labelled_once", "a query has one label", "split", "pair", "qid"),
        null("query_known", "a labelled query exists in its split", "unknown_qid"),
        between("confidence", "a confidence is from 0 to 1", "confidence", 0, 1),
    )
    return _suite("routes", partial(route_parts, labels, queries), QUERY, rules, labels.by_home)


def routing_suite(queries: Queries, labels: Labels, params: RouteParams) -> Suite:
    """Train queries: each has a route, and complex ones are neither rare nor everything."""
    rules = (
        present("routed", "every train query has a route", "route"),
        mean_between(
            "complex_share",
            "the share of complex train queries is within bounds",
            "complex",
            params.min_complex,
            params.max_complex,
        ),
    )
    parts = partial(routing_parts, queries, labels)
    return _suite("routing", parts, ("pair", "line", "qid"), rules, partial(_together, parts, ["complex"]))


def _together(parts: Frames, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Some columns of all parts as one frame."""
    yield pd.concat([part[list(columns)] for part in parts()], ignore_index=True)


def trace_suite(
    traces: Spool, queries: Queries, labels: Labels, params: TraceParams, complex_queries: int
) -> Suite:
    """Kept traces: of complex train and val queries, one each, within lengths.

    Args:
        traces, queries, labels: the tables that a trace is held against.
        params: bounds.
        complex_queries: how many train queries are complex.
    """
    least = math.ceil(params.min_kept * complex_queries)
    rules = (
        null("record_shape", "a trace has its keys, of their types", "problem"),
        at_least_rows(
            "kept_enough", f"at least {params.min_kept:.0%} of complex train queries kept a trace", least
        ),
        unique("trace_unique", "a query has one trace", "pair", "qid"),
        null("query_known", "a trace belongs to a train or val query", "foreign"),
        null("query_complex", "a trace belongs to a complex query", "needless"),
        between(
            "reasoning_length",
            "reasonings are within bounds",
            "reasoning_words",
            params.reasoning_min,
            params.reasoning_max,
        ),
        between(
            "answer_length", "answers are within bounds", "answer_words", params.answer_min, params.answer_max
        ),
        between("confidence", "a confidence is from 0 to 1", "confidence", 0, 1),
    )
    index = ("line", "pair", "qid")
    parts = partial(trace_parts, traces, queries, labels)
    return _suite("traces", parts, index, rules, partial(_together, traces.parts, index))


def drift_suite(frame: pd.DataFrame) -> Suite:
    """No column moved further from the previous version than it may."""
    arguments = {"column_A": "threshold", "column_B": "distance", "or_equal": True}
    rule = Rule(
        "distribution",
        "a column's distribution is near the previous version's",
        "ExpectColumnPairValuesAToBeGreaterThanB",
        arguments,
    )
    return Suite("drift", frame, ("table", "column", "kind"), (rule,))
