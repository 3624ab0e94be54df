"""What cannot be a log for its types: the column is named, and what to make of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm

TIMES = pd.to_datetime(["2024-01-01 10:00", "2024-02-01 00:00", "2024-03-15 00:00"], utc=True)
FRAME = pd.DataFrame({"u": [1, 1, 2], "t": TIMES, "k": ["purchase", "view", "purchase"], "a": [1.5, None, 2.0]})


def log_of(frame: Any = FRAME) -> cm.InteractionLog:
    return cm.InteractionLog(frame, customer_id="u", timestamp="t", event_type="k", amount="a")


HOSTILE: dict[str, tuple[Callable[[], Any], type[cm.CrmmlError], str]] = {
    "ids that are fractions": (
        lambda: log_of(FRAME.assign(u=[1.0, 2.5, None])),
        cm.SchemaError,
        "InteractionLog: column 'u' cannot be the customer_id: it is double (for example 2.5). Make it text or whole "
        "numbers, for example frame['u'] = frame['u'].astype(str).",
    ),
    "ids that are lists": (
        lambda: log_of(FRAME.assign(u=[[1]] * 3)),
        cm.SchemaError,
        "InteractionLog: column 'u' cannot be the customer_id: it is bigint[] (for example '[1]'). Make it text or "
        "whole numbers, for example frame['u'] = frame['u'].astype(str).",
    ),
    "a sparse column": (
        lambda: log_of(FRAME.assign(s=pd.arrays.SparseArray([0, 0, 1]))),
        cm.SchemaError,
        "InteractionLog: column 's' is sparse (Sparse[int64, 0]). "
        "Make it dense: frame['s'] = frame['s'].sparse.to_dense().",
    ),
    "complex numbers": (
        lambda: log_of(FRAME.assign(c=1j)),
        cm.SchemaError,
        "InteractionLog: column 'c' holds 9x (complex), which is neither a number nor a text nor a time. "
        "Leave it out: frame.drop(columns=['c']).",
    ),
    "a type that the engine does not know": (
        lambda: log_of(FRAME.assign(a=np.float16(1))),
        cm.SchemaError,
        "InteractionLog: column 'a' is of the Arrow type halffloat, which cannot be queried. "
        "Make it float64, text or another plain type, or leave the column out.",
    ),
    "a column for a frame": (
        lambda: log_of(FRAME["u"]),
        cm.ConfigError,
        "InteractionLog: cannot read a log from pandas.Series. Pass a path or glob of Parquet or CSV files, a pandas "
        "or polars frame, an Arrow table, or a DuckDB relation.",
    ),
    "events of an unknown name": (
        lambda: log_of().events(["amout"]),
        cm.SchemaError,
        "InteractionLog.events: the log has no 'amout'. Did you mean 'amount'? It has: 'customer_id', 'timestamp', "
        "'event_type', 'amount'.",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_a_log_is_refused_with_its_column(name: str) -> None:
    make, kind, message = HOSTILE[name]
    with pytest.raises(kind) as caught:
        make()
    assert str(caught.value) == message


def test_ids_that_pandas_made_floats_because_one_was_missing_are_whole_numbers_again() -> None:
    floats = FRAME.assign(u=[1.0, 2.0, None])
    log = log_of(floats).clean(cm.DropMissing("customer_id"))
    assert log.events(["customer_id"]).column("customer_id").to_pylist() == [1, 2]
    assert str(log.events(["customer_id"]).schema.field("customer_id").type) == "int64"


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    FRAME.to_parquet(path)
    log = log_of(path)
    log.facts  # noqa: B018 (read once; what follows reads the file again)
    path.unlink()
    with pytest.raises(cm.DataError) as caught:
        cm.build_features(log, [cm.Count()], "2024-03-01")
    assert str(caught.value) == (
        f"InteractionLog: {path.resolve()} is gone; it was there when the log was opened. "
        "Put it back, or open the log anew."
    )
