"""What is expected of each table: the suites that step `validate` runs."""

import math

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

ID = r"^\d+:\d+$"
MODALITIES = [modality.value for modality in Modality]


def query_suite(frame: pd.DataFrame, config: ValidateConfig) -> Suite:
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
    return Suite("queries", frame, ("split", "pair", "line", "qid"), rules)


def candidate_suite(frame: pd.DataFrame, params: TextParams) -> Suite:
    """Ids, modality and text lengths of every candidate of every pool, and agreement between pools."""
    contents = frame.groupby("did")["content"].transform("nunique")
    frame = frame.assign(conflict=frame["did"].where(contents > 1))
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
    return Suite("candidates", frame, ("pool", "line", "did"), rules)


def qrels_suite(frame: pd.DataFrame) -> Suite:
    """Relevance judgements: form, task, and agreement with the queries."""
    rules = (
        null("line_form", "a line is 'qid 0 did relevance task_id'", "problem"),
        unique("judged_once", "a (query, candidate) is judged once", "split", "pair", "qid", "did"),
        between("relevance", "relevance is not negative", "relevance", 0, None),
        equal("task_pair", "the task id is the pair's", "task_id", "pair_task"),
        null("query_known", "the query exists", "unknown_qid"),
        null("positive_listed", "a relevant candidate is among the query's positives", "unlisted"),
    )
    return Suite("qrels", frame, ("split", "pair", "line", "qid", "did"), rules)


def positive_suite(frame: pd.DataFrame) -> Suite:
    """Every positive exists in the pools that are searched, and is judged."""
    rules = (
        null("reachable_local", "enough of a pair's positives are in its own pool", "unreachable_local"),
        null("reachable_global", "enough of a pair's positives are in the global pool", "unreachable_global"),
        null("judged", "a positive is in the qrels", "unjudged"),
    )
    return Suite("positives", frame, ("split", "pair", "qid", "did"), rules)


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


def route_suite(frame: pd.DataFrame) -> Suite:
    """Labels: known values, of known queries, one each."""
    rules = (
        one_of("route_known", "a route is simple or complex", "route", ["simple", "complex"]),
        unique("labelled_once", "a query has one label", "split", "pair", "qid"),
        null("query_known", "a labelled query exists in its split", "unknown_qid"),
        between("confidence", "a confidence is from 0 to 1", "confidence", 0, 1),
    )
    return Suite("routes", frame, ("split", "pair", "qid"), rules)


def routing_suite(frame: pd.DataFrame, params: RouteParams) -> Suite:
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
    return Suite("routing", frame, ("pair", "line", "qid"), rules)


def trace_suite(frame: pd.DataFrame, params: TraceParams, complex_queries: int) -> Suite:
    """Kept traces: of complex train and val queries, one each, within lengths.

    Args:
        frame: the traces with their joins.
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
    return Suite("traces", frame, ("line", "pair", "qid"), rules)


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
