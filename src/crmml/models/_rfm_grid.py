"""Which segment lies where on the grid of recency against value, as a table of rules; scores from thresholds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from crmml.errors import ConfigError, did_you_mean
from crmml.models._base import Floats, Ints

LEVELS = 5
# The names of the trade: segment, levels of recency (5 is just now), levels of value (5 is most).
_DEFAULT: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = (
    ("Champions", (5,), (4, 5)),
    ("Loyal", (3, 4), (4, 5)),
    ("Potential loyalists", (4, 5), (2, 3)),
    ("New customers", (5,), (1,)),
    ("Promising", (4,), (1,)),
    ("Need attention", (3,), (3,)),
    ("About to sleep", (3,), (1, 2)),
    ("At risk", (1, 2), (3, 4)),
    ("Cannot lose them", (1, 2), (5,)),
    ("Hibernating", (2,), (1, 2)),
    ("Hibernating", (1,), (2,)),
    ("Lost", (1,), (1,)),
)
_KEYS = ("segment", "recency", "value")
_EXAMPLE = "{'segment': 'Champions', 'recency': [5], 'value': [4, 5]}"


class Grid(NamedTuple):
    """The names, in the order of the rules, and the position among them of each cell."""

    segments: npt.NDArray[np.str_]
    positions: Ints  # [recency level - 1, value level - 1]


def default_rules() -> list[dict[str, Any]]:
    """The default rules as plain rows, new at every call."""
    return [{"segment": name, "recency": list(recency), "value": list(value)} for name, recency, value in _DEFAULT]


def grid_of(rules: Any, where: str) -> Grid:
    """The grid that rules describe; every cell needs exactly one segment.

    Raises:
        ConfigError: the rules are no list of rows; a row lacks a key or has a level that there is not; a cell has
            two segments, or none.

    >>> grid = grid_of(default_rules(), "RFMSegmenter")
    >>> str(grid.segments[grid.positions[4, 4]])
    'Champions'
    """
    names: list[str] = []
    positions = np.full((LEVELS, LEVELS), -1, dtype=np.int64)
    for number, row in enumerate(_rows(rules, where)):
        name, recency, value = _row(row, f"{where}: rules[{number}]")
        if name not in names:
            names.append(name)
        for r in recency:
            for v in value:
                _put(positions, names, (r, v), name, where)
    missing = np.argwhere(positions < 0)
    if len(missing):
        r, v = (missing[-1] + 1).tolist()
        raise ConfigError(
            f"{where}: rules: recency {r}, value {v} has no segment. "
            f"Add a row, for example {{'segment': 'Other', 'recency': [{r}], 'value': [{v}]}}."
        )
    return Grid(np.array(names), positions)


def _put(positions: Ints, names: list[str], cell: tuple[int, int], name: str, where: str) -> None:
    r, v = cell
    there = int(positions[r - 1, v - 1])
    if there >= 0 and names[there] != name:
        raise ConfigError(
            f"{where}: rules: recency {r}, value {v} is both {names[there]!r} and {name!r}. "
            "Take it out of one of the two."
        )
    positions[r - 1, v - 1] = names.index(name)


def _rows(rules: Any, where: str) -> Sequence[Any]:
    if not isinstance(rules, list | tuple) or not rules:
        raise ConfigError(
            f"{where}: rules={rules!r} must be a list of rows such as {_EXAMPLE}. "
            "Use RFMSegmenter.default_rules(), and change what you need."
        )
    return rules


def _row(row: Any, where: str) -> tuple[str, list[int], list[int]]:
    if not isinstance(row, Mapping):
        raise ConfigError(f"{where} is {row!r}, no row. Use for example {_EXAMPLE}.")
    for key in row:
        if key not in _KEYS:
            hint = did_you_mean(str(key), _KEYS) or f" The keys are: {', '.join(_KEYS)}."
            raise ConfigError(f"{where}: no key {key!r}.{hint}")
    missing = [key for key in _KEYS if key not in row]
    if missing:
        raise ConfigError(f"{where}: the key {missing[0]!r} is missing. Use for example {_EXAMPLE}.")
    name = row["segment"]
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{where}: segment is {name!r}, no name. Use for example 'Champions'.")
    return name, _levels_in(row, "recency", where), _levels_in(row, "value", where)


def _levels_in(row: Mapping[str, Any], key: str, where: str) -> list[int]:
    """The levels of a row, one or a list of them."""
    given = row[key] if isinstance(row[key], list | tuple) else [row[key]]
    allowed = all(isinstance(level, int) and not isinstance(level, bool) and 1 <= level <= LEVELS for level in given)
    if not given or not allowed:
        raise ConfigError(
            f"{where}: {key}={row[key]!r} must hold levels from 1 (lowest) to {LEVELS}. Use for example [4, 5]."
        )
    return list(given)


def cells_of(scores: Ints, n_bins: int, positions: Ints) -> Ints:
    """The segment of each row of scores 1..n_bins (recency first): its position on the grid.

    >>> grid = grid_of(default_rules(), "")
    >>> str(grid.segments[cells_of(np.array([[5, 4, 5]]), 5, grid.positions)[0]])
    'Champions'
    """
    recency = _levels(scores[:, :1], n_bins)
    value = _levels(scores[:, 1:], n_bins)
    found: Ints = positions[recency - 1, value - 1]
    return found


def _levels(scores: Ints, n_bins: int) -> Ints:
    """The mean of each row's scores stretched from 1..n_bins to 1..5 and rounded, halves up.

    In whole numbers, so that a half is a half: level - 1 = 4 * sum(score - 1) / (columns * (n_bins - 1)).
    """
    above: Ints = (scores - 1).sum(axis=1)
    full = scores.shape[1] * (n_bins - 1)
    levels: Ints = 1 + (2 * (LEVELS - 1) * above + full) // (2 * full)
    return levels


def quantile_thresholds(values: Floats, n_bins: int) -> Floats:
    """The n_bins - 1 quantiles between the bins of a column, missing values left out; NaN where all are.

    A column without any spread tells nobody apart: its thresholds give its one value the middle score.

    >>> quantile_thresholds(np.arange(1.0, 12.0), 5)
    array([3., 5., 7., 9.])
    """
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return np.full(n_bins - 1, np.nan)
    if known.min() == known.max():
        flat = np.full(n_bins - 1, known[0])
        flat[: (n_bins - 1) // 2] = np.nextafter(known[0], -np.inf)
        return flat
    limits: Floats = np.quantile(known, np.arange(1, n_bins) / n_bins)
    return limits


def fixed_thresholds(given: Any, columns: Sequence[str], n_bins: int, where: str) -> dict[int, Floats]:
    """The thresholds that the user gave, by the position of their column, as they stand in `thresholds_`.

    Raises:
        ConfigError: no mapping; a column that there is not; not n_bins - 1 rising numbers.

    >>> fixed_thresholds({"days": [30, 90]}, ["days", "orders"], 3, "RFMSegmenter")  # of minus the days
    {0: array([-90., -30.])}
    """
    if given is None:
        return {}
    example = f"{{{columns[0]!r}: {[30 * 2**i for i in range(n_bins - 1)]}}}"
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}: thresholds={given!r} must be a mapping from column to limits, such as {example}.")
    fixed = {}
    for name, limits in given.items():
        if name not in columns:
            hint = did_you_mean(str(name), columns) or f" The columns are: {', '.join(columns)}."
            raise ConfigError(f"{where}: thresholds: no column {name!r}.{hint}")
        rising = _rising(limits, n_bins - 1)
        if rising is None:
            _refuse_limits(name, limits, n_bins, where)
        at = columns.index(name)
        fixed[at] = -rising[::-1] if at == 0 else rising
    return fixed


def _rising(limits: Any, count: int) -> Floats | None:
    """`limits` as an array, or None where they are not `count` finite numbers, each above the one before."""
    if not isinstance(limits, list | tuple) or len(limits) != count:
        return None
    if not all(isinstance(limit, int | float) and not isinstance(limit, bool) for limit in limits):
        return None
    numbers = np.array(limits, dtype=np.float64)
    return numbers if np.isfinite(numbers).all() and np.all(np.diff(numbers) > 0) else None


def _refuse_limits(name: str, limits: Any, n_bins: int, where: str) -> NoReturn:
    raise ConfigError(
        f"{where}: thresholds: {name!r} is {limits!r}, but n_bins={n_bins} needs {n_bins - 1} rising numbers. "
        f"Use for example {[30 * 2**i for i in range(n_bins - 1)]}."
    )


def scores_of(values: Floats, limits: Floats) -> Ints:
    """1 + the number of thresholds that each value exceeds: equal values score alike, NaN scores 1.

    >>> scores_of(np.array([1.0, 3.0, 3.5, np.nan]), np.array([1.0, 1.0, 3.0]))
    array([1, 3, 4, 1])
    """
    exceeded = np.zeros(len(values), dtype=np.int64)
    for limit in limits:
        exceeded += values > limit
    return 1 + exceeded
