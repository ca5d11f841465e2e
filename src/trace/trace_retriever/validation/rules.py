"""Rules as plain data: what is expected of a table's columns, said without importing Great Expectations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from trace_retriever.validation.spool import Frames


@dataclass(frozen=True)
class Rule:
    """One expectation.

    Attributes:
        name: unique in its suite, such as `ids_in_bounds`.
        meaning: what holds when it is met, for people.
        kind: the Great Expectations class, such as `ExpectColumnValuesToBeNull`.
        arguments: its arguments.
    """

    name: str
    meaning: str
    kind: str
    arguments: dict[str, Any]

    @property
    def whole(self) -> bool:
        """Whether it is a rule of a column or a table and not of each row."""
        return any(word in self.kind for word in ("Unique", "Mean", "RowCount"))


@dataclass(frozen=True)
class Suite:
    """The rules of one table.

    Attributes:
        name: of the suite.
        frame: the table; or gives it in parts, where it is too large for one frame.
        index: columns that name a row in examples, such as split, pair, line, qid.
        rules: what is expected.
        whole: gives the columns that rules of the whole table need, in as few parts as they allow: one for
            a mean or a count, those across which no two rows agree for uniqueness; only of a table in parts.
    """

    name: str
    frame: pd.DataFrame | Frames = field(repr=False)
    index: Sequence[str]
    rules: Sequence[Rule]
    whole: Frames | None = field(default=None, repr=False)


def null(name: str, meaning: str, column: str, at_most: float = 0.0) -> Rule:
    """A column that holds a value only where something is wrong is empty, but for a share of rows."""
    arguments: dict[str, Any] = {"column": column}
    if at_most > 0:
        arguments["mostly"] = 1.0 - at_most
    return Rule(name, meaning, "ExpectColumnValuesToBeNull", arguments)


def present(name: str, meaning: str, column: str) -> Rule:
    """A column has a value everywhere."""
    return Rule(name, meaning, "ExpectColumnValuesToNotBeNull", {"column": column})


def between(name: str, meaning: str, column: str, low: float | None, high: float | None) -> Rule:
    """The numbers of a column, where there are any, lie within bounds, both included."""
    arguments = {"column": column, "min_value": low, "max_value": high}
    return Rule(name, meaning, "ExpectColumnValuesToBeBetween", arguments)


def one_of(name: str, meaning: str, column: str, values: Sequence[Any]) -> Rule:
    """The values of a column, where there are any, are among some."""
    arguments = {"column": column, "value_set": list(values)}
    return Rule(name, meaning, "ExpectColumnValuesToBeInSet", arguments)


def equal(name: str, meaning: str, one: str, other: str) -> Rule:
    """Two columns agree wherever both have a value."""
    arguments = {"column_A": one, "column_B": other, "ignore_row_if": "either_value_is_missing"}
    return Rule(name, meaning, "ExpectColumnPairValuesToBeEqual", arguments)


def unique(name: str, meaning: str, *columns: str) -> Rule:
    """No two rows agree in all of some columns."""
    if len(columns) == 1:
        return Rule(name, meaning, "ExpectColumnValuesToBeUnique", {"column": columns[0]})
    return Rule(name, meaning, "ExpectCompoundColumnsToBeUnique", {"column_list": list(columns)})


def matches(name: str, meaning: str, column: str, pattern: str) -> Rule:
    """The texts of a column match a regular expression."""
    return Rule(name, meaning, "ExpectColumnValuesToMatchRegex", {"column": column, "regex": pattern})


def mean_between(name: str, meaning: str, column: str, low: float, high: float) -> Rule:
    """The mean of a column lies within bounds."""
    arguments = {"column": column, "min_value": low, "max_value": high}
    return Rule(name, meaning, "ExpectColumnMeanToBeBetween", arguments)


def at_least_rows(name: str, meaning: str, count: int) -> Rule:
    """The table has so many rows."""
    return Rule(name, meaning, "ExpectTableRowCountToBeBetween", {"min_value": count})
