"""Rows brought together by customer and other values."""

import numpy as np

from crmml.features.stream.rows import Array, Runs, Unknown, Values, Words, changes, vector

# So many groups have numbers of 16 bits, which are sorted by radix.
RADIX = 2**16


def grouped(owner: Array, keys: list[Values]) -> tuple[Array, Runs]:
    """The places of rows in order of owner and keys, and the runs of equal ones; in a run they stay in order."""
    codes = [code_of(key) for key in keys]
    order = order_of(owner, codes)
    return order, Runs(changes(owner.take(order), *(code.take(order) for code in codes)), len(owner))


def code_of(value: Values) -> Array:
    """A number for each value of a key."""
    if value.missing is not None and value.missing.any():
        raise Unknown("a group of missing values")
    if isinstance(value, Words):
        return value.codes
    data = vector(value).data
    if data.dtype.kind != "i" or not data.ndim:
        raise Unknown("a group of what are no whole numbers")
    return data


def order_of(owner: Array, codes: list[Array]) -> Array:
    """The places of the rows in an order that brings those of the same owner and codes together."""
    if not len(owner):
        return np.zeros(0, np.int64)
    group, groups = owner, int(owner[-1]) + 1
    together = True  # whether the rows of each group follow each other
    for code in codes:
        if together and not np.any((group[1:] == group[:-1]) & (code[1:] > code[:-1])):
            # Such as times: rows of the same group and code follow each other already.
            found = Runs(changes(group, code), len(group))
            group, groups = found.number, len(found)
            continue
        together = False
        least = int(code.min())
        reach = int(code.max()) - least + 1
        if groups * reach >= np.iinfo(np.int64).max:
            return np.lexsort((*reversed(codes), owner))
        group, groups = group * reach + (code - least), groups * reach
    return np.argsort(group.astype(np.uint16) if groups <= RADIX else group, kind="stable")
