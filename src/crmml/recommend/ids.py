"""Identifiers of customers and items: whole numbers or text, sorted, looked up without surprises.

The order of ids (numbers by value, text by code point) is the order in which ties are broken, so it must not
depend on the order of the rows.
"""

from typing import Any, TypeAlias, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.errors import DataError, SchemaError, did_you_mean, shape_of

Codes = NDArray[np.int64]
Ids: TypeAlias = "pd.Index[Any]"  # of integers or of text


def as_ids(values: Any, where: str) -> Ids:
    """The ids as an index of an integer type or of text, in the order given; shape (n,).

    `where` names them in the messages. Raises `SchemaError`: neither whole numbers nor text; `DataError`:
    missing ids, text that cannot be stored.

    >>> as_ids([3, 1], "customer_ids").tolist(), as_ids(["é", ""], "customer_ids").tolist()
    ([3, 1], ['é', ''])
    >>> as_ids([1.5], "customer_ids")
    Traceback (most recent call last):
        ...
    crmml.errors.SchemaError: customer_ids: ids of type float64 (first: 9.9). Use whole numbers or text.
    """
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise SchemaError(f"{where}: {values!r} is not a list of ids. Use [{values!r}].")
    if getattr(values, "ndim", 1) != 1:
        raise SchemaError(f"{where}: an array of shape {values.shape} is not a list of ids. Use one dimension.")
    series = pd.Series(values if isinstance(values, (pd.Series, pd.Index, np.ndarray)) else list(values))
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.cat.categories.dtype)
    missing = np.flatnonzero(series.isna())
    if len(missing):
        raise DataError(
            f"{where}: {len(missing)} of {len(series)} ids are missing, first in row {missing[0]}. Drop these rows."
        )
    kind = "string" if series.dtype == "str" else pd.api.types.infer_dtype(series, skipna=False)
    if kind == "empty" or not len(series):
        return cast(Ids, pd.Index(series))
    if kind == "integer":
        return cast(Ids, pd.Index(_integers(series, where)))
    if kind == "string":
        return _texts(series, where)
    raise SchemaError(
        f"{where}: ids of type {series.dtype if series.dtype != object else kind} (first: {_looks(series, 0)}). "
        "Use whole numbers or text."
    )


def sorted_codes(ids: Ids) -> tuple[Codes, Ids]:
    """The position of every id among the sorted distinct ids, shape (n,), and those, shape (distinct,).

    >>> codes, distinct = sorted_codes(pd.Index(["b", "a", "b"]))
    >>> codes.tolist(), distinct.tolist()
    ([1, 0, 1], ['a', 'b'])
    """
    found, distinct = pd.factorize(ids)
    order = np.argsort(distinct.to_numpy(), kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return place[found], distinct[order]


def look_up(known: Ids, ids: Ids, where: str) -> Codes:
    """The position of every id in `known`, -1 where it is not there; shape of `ids`.

    Raises `SchemaError` where one side is text and the other numbers: 5 and "5" would never meet.

    >>> look_up(pd.Index([10, 20]), pd.Index([20, 7]), "customer_ids").tolist()
    [1, -1]
    """
    if not len(ids):
        return np.empty(0, dtype=np.int64)
    if is_text(known) != is_text(ids):
        kinds = {True: "text", False: "whole numbers"}
        raise SchemaError(
            f"{where}: ids are {kinds[is_text(ids)]} (first: {_looks(ids, 0)}), but the model was fitted on "
            f"{kinds[is_text(known)]} (first: {_looks(known, 0)}). Use the type of the log."
        )
    return known.get_indexer(ids).astype(np.int64)


def is_text(ids: Ids) -> bool:
    """Whether the ids are text (otherwise they are whole numbers).

    >>> is_text(pd.Index(["a"])), is_text(pd.Index([1]))
    (True, False)
    """
    return not pd.api.types.is_integer_dtype(ids.dtype)


def nearest(known: Ids, unknown: Any) -> str:
    """The hint " Did you mean ...?" with the known id most like `unknown`; "" where none is near.

    >>> nearest(pd.Index([10, 20]), 18), nearest(pd.Index(["sku-1", "sku-20"]), "sku-2")
    (' Did you mean 20?', " Did you mean 'sku-20'?")
    """
    around = int(known.searchsorted(unknown))
    if not is_text(known):
        beside = [int(i) for i in known[max(around - 1, 0) : around + 1]]
        return f" Did you mean {min(beside, key=lambda i: abs(i - int(unknown)))}?"
    # Comparing with a whole catalogue takes minutes; ids that start alike stand beside each other.
    return did_you_mean(unknown, known[max(around - 500, 0) : around + 500])


def shown(ids: Any, place: int) -> str:
    """The id at this place as Python writes it: `'a'`, `5`.

    >>> shown(pd.Index([5]), 0)
    '5'
    """
    return repr(ids[place : place + 1].tolist()[0])


def _looks(ids: Any, place: int) -> str:
    """The shape of the id at this place: it may be a customer's."""
    return shape_of(ids[place : place + 1].tolist()[0])


def to_array(ids: Ids) -> NDArray[Any]:
    """The ids as an array that can be stored: integers, or unicode of fixed width; never of objects.

    >>> to_array(pd.Index(["a", "bc"])).dtype.str[1:]
    'U2'
    """
    return np.array(ids.tolist(), dtype=np.str_) if is_text(ids) else ids.to_numpy()


def _integers(series: pd.Series, where: str) -> NDArray[Any]:
    dtype: Any = getattr(series.dtype, "numpy_dtype", series.dtype)  # pandas' nullable and Arrow integers have one
    try:
        return series.to_numpy(dtype=np.int64 if dtype.kind == "O" else dtype)
    except OverflowError:
        raise SchemaError(f"{where}: a number does not fit into 64 bits. Use text.") from None


def _texts(series: pd.Series, where: str) -> Ids:
    try:
        texts = series.astype("str")
    except UnicodeEncodeError as problem:
        raise DataError(
            f"{where}: the id {shape_of(problem.object)} is not valid Unicode. Repair its encoding."
        ) from None
    # Arrays of fixed-width unicode drop NULs at the end: two different ids would become one.
    cut = np.flatnonzero(texts.str.endswith("\0"))
    if len(cut):
        raise DataError(f"{where}: the id {_looks(texts, cut[0])} in row {cut[0]} ends in a NUL character. Strip it.")
    return pd.Index(texts)
