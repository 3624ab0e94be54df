"""Why a score is what it is, in words: the columns that moved it most, with their values and those of the others."""

import math
import re
from collections.abc import Sequence

import numpy as np

from crmml.models._base import Floats

TOP = 3
# A name that a user has given a column may be of any length; a reason stays below 200 characters.
_LONGEST_NAME = 100

# The beginnings of generated names: what they are called, whether they are of several events, their unit.
_VERBS = {
    "recency": ("time since the last", False, "days"),
    "tenure": ("time since the first", False, "days"),
    "days_active": ("days with", True, ""),
    "count": ("number of", True, ""),
    "nunique": ("number of different", False, ""),
    "decayed_sum": ("recent", False, ""),
    "sum": ("sum of", False, ""),
    "mean": ("mean", False, ""),
    "median": ("median", False, ""),
    "min": ("least", False, ""),
    "max": ("greatest", False, ""),
    "std": ("spread of", False, ""),
    "gap_last_to_mean": ("last gap over the mean gap between", True, ""),
    "gap_mean": ("mean gap between", True, "days"),
    "gap_median": ("median gap between", True, "days"),
    "gap_std": ("spread of the gaps between", True, "days"),
    "gap_last": ("last gap between", True, "days"),
    "trend": ("trend of", True, ""),
    "change_ratio": ("change, as a ratio, of", True, ""),
    "change": ("change of", True, ""),
    "share": ("share of", False, ""),
}
_ROLES = ("amount", "quantity", "item_id", "channel")
_WINDOW = re.compile(r"(.*?)_?(\d+)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def in_words(name: str) -> tuple[str, str]:
    """A generated column name in words, and its unit; any other name as it is.

    >>> in_words("count_purchase_90d")
    ('number of purchases in 90 days', '')
    >>> in_words("recency")
    ('time since the last event', ' days')
    >>> in_words("sum_amount_purchase")
    ('sum of amount of purchases', '')
    >>> in_words("plan = 'gold'")
    ("plan = 'gold'", '')
    """
    plain = " ".join(name.split())
    verb = max((verb for verb in _VERBS if _begins(plain, verb)), key=len, default=None)
    if verb is None or "_per_" in plain:
        return _shortened(plain), ""
    words, plural, unit = _VERBS[verb]
    rest = plain[len(verb) :]
    window = _WINDOW.fullmatch(rest)
    when = "" if window is None else f" in {window[2]} {_UNITS[window[3]]}"
    what = _what((rest if window is None else window[1]).strip("_"), plural=plural)
    return _shortened(f"{words} {what}{when}"), f" {unit}" if unit else ""


def _begins(name: str, verb: str) -> bool:
    return name == verb or name.startswith(f"{verb}_")


def _what(rest: str, *, plural: bool) -> str:
    role = next((role for role in _ROLES if _begins(rest, role)), None)
    if role is not None:
        events = rest[len(role) + 1 :]
        return role.replace("_id", "") + (f" of {_several(events)}" if events else "")
    return _several(rest or "event") if plural else (rest or "event").replace("_", " ")


def _several(event: str) -> str:
    spoken = event.replace("_", " ")
    return spoken if spoken.endswith("s") else f"{spoken}s"


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."


def reasons(names: Sequence[tuple[str, str]], X: Floats, typical: Floats, contributions: Floats) -> list[str]:
    """The columns that moved each row's score most, joined by "; ".

    Ties are broken by the order of the columns; a column that moved nothing is no reason.

    Args:
        names: Of each column, what it is called and its unit.
        X: The values, NaN where one is missing, shape (rows, columns).
        typical: The value of the customer in the middle, shape (columns,).
        contributions: What each column adds to the score, shape (rows, columns).

    >>> reasons([("days silent", " days")], np.array([[143.0], [5.0]]), np.array([35.0]), np.array([[0.7], [-0.4]]))
    ['days silent: 143 days, others 35 days (raises the probability)', 'days silent: 5 days, others 35 days (lowers \
the probability)']
    """
    order = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :TOP]
    others = [_number(value, unit) for value, (_, unit) in zip(typical.tolist(), names, strict=True)]
    # Plain numbers: each is looked at several times, and arrays give them out slowly.
    picked = (order, np.take_along_axis(X, order, axis=1), np.take_along_axis(contributions, order, axis=1))
    texts = []
    for columns, values, moves in zip(*(each.tolist() for each in picked), strict=True):
        parts = []
        for column, value, adds in zip(columns, values, moves, strict=True):
            if adds == 0.0:
                break
            name, unit = names[column]
            direction = "raises" if adds > 0.0 else "lowers"
            parts.append(f"{name}: {_number(value, unit)}, others {others[column]} ({direction} the probability)")
        texts.append("; ".join(parts))
    return texts


def _number(value: float, unit: str) -> str:
    """Three digits are enough to see why; whole numbers are written out.

    >>> _number(143.0, " days"), _number(0.12345, ""), _number(1234567.8, ""), _number(float("nan"), " days")
    ('143 days', '0.123', '1,234,568', 'missing')
    """
    if math.isnan(value):
        return "missing"
    if abs(value) >= 1e15:
        return f"{value:.3g}{unit}"
    plain = value.is_integer() or abs(value) >= 100.0
    text = f"{value:,.0f}" if plain else f"{value:.3g}"
    return f"{'0' if text == '-0' else text}{unit}"
