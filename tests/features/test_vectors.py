"""Mean vectors: of lists of numbers and of the words of texts, against the oracle and by hand; what is refused."""

import hashlib
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from tests.features import oracle
from tests.features.compare import cells, differences, feature_differences
from tests.features.mutants import Mutant, built_in
from tests.features.oracle_distribution import hashed
from tests.features.oracle_rows import Row
from tests.features.strategies import (
    EPOCH,
    ROLES,
    anchored,
    arrow_table,
    budget,
    filters,
    random_rows,
    some_cutoffs,
    stamp,
)

START = pd.Timestamp("2024-01-01", tz="UTC")
VECTORS = (None, [1.0, -2.5, 0.125], [0.0, 0.0, 1e-9], [0.1, 0.2, 0.3], [-3.5, 999_999.5, 1 / 3], [5.0, -0.1, 7.0])


def log_of(values: list[Any], kind: pa.DataType | None = None) -> cm.InteractionLog:
    """One customer with one event a day, and a column `v`."""
    days = pa.array(pd.date_range(START, periods=len(values)).as_unit("us"))
    column = pa.array(values, kind)
    return cm.InteractionLog(
        pa.table({"u": pa.array([1] * len(values)), "t": days, "v": column}), customer_id="u", timestamp="t"
    )


def mean_of(values: list[Any], size: int, kind: pa.DataType | None = None) -> list[float]:
    """The mean vector of that customer."""
    as_of = START + pd.Timedelta(days=len(values))
    row: list[float] = cm.build_features(log_of(values, kind), [cm.MeanVector("v", size)], as_of).iloc[0].tolist()
    return row


# Lists of numbers -----------------------------------------------------------------------------------------


def with_vectors(rows: list[Row]) -> list[Row]:
    """The rows, each with a vector or without."""
    return [{**row, "vector": VECTORS[number * 7 % 11 % len(VECTORS)]} for number, row in enumerate(rows)]


def vector_differences(rows: list[Row], features: list[Any], cutoffs: list[int], kind: pa.DataType) -> list[str]:
    """Where the oracle differs from a log with vectors of a type."""
    table = arrow_table(rows).append_column("vector", pa.array([row["vector"] for row in rows], kind))
    at = [stamp(cutoff) for cutoff in cutoffs]
    frame = cm.build_features(cm.InteractionLog(table, **ROLES), features, at)
    return differences(cells(frame), oracle.build(rows, features, cutoffs), features)


@budget(5, 500)
@given(st.integers(0, 2**32), some_cutoffs(), st.data())
def test_means_of_lists_equal_the_oracle(seed: int, cutoffs: list[int], data: st.DataObject) -> None:
    rows = with_vectors(anchored(random_rows(Random(seed), cutoffs, customers=40, events=12)))
    windows = st.sampled_from((None, "3d", "1w"))
    features = [cm.MeanVector("vector", 3, **data.draw(filters()), window=data.draw(windows)) for _ in range(3)]
    kind = data.draw(st.sampled_from((pa.list_(pa.float64()), pa.list_(pa.float64(), 3), pa.large_list(pa.float64()))))
    assert vector_differences(rows, list(dict.fromkeys(features)), cutoffs, kind) == []


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 2), pa.list_(pa.int16()), pa.list_(pa.decimal128(9, 2))]
)
def test_lists_of_every_kind_of_number_are_vectors(kind: pa.DataType) -> None:
    assert mean_of([[1, -4], None, [2, 0]], 2, kind) == [(1 + 2) / 2, (-4 + 0) / 2]


def test_the_order_of_the_events_does_not_matter() -> None:
    """Sums of floats would differ in their last bits."""
    values = [[x] for x in np.random.default_rng(3).normal(size=300).tolist()]
    means = {mean_of(order, 1)[0] for order in (values, values[::-1], sorted(values), values[::2] + values[1::2])}
    assert len(means) == 1
    assert means.pop() == pytest.approx(np.mean(values), abs=1e-9)


def test_vectors_of_a_prepared_log_are_the_same(tmp_path: Path) -> None:
    log = log_of([[0.5, 1.0], None, [0.25, -1.0]], pa.list_(pa.float32(), 2))
    features, as_of = [cm.MeanVector("v", 2)], START + pd.Timedelta(days=3)
    expected = cm.build_features(log, features, as_of)
    assert expected.iloc[0].tolist() == [0.375, 0.0]
    prepared = log.prepare(tmp_path / "prepared", progress=False)
    pd.testing.assert_frame_equal(cm.build_features(prepared, features, as_of), expected, check_exact=True)


# Texts ----------------------------------------------------------------------------------------------------


def place_and_sign(word: str, size: int) -> tuple[int, int]:
    digest = hashlib.md5(word.encode(), usedforsecurity=False).hexdigest()
    return int(digest[:4], 16) % size, 1 if int(digest[4], 16) < 8 else -1


def test_a_published_digest_decides_place_and_sign() -> None:
    """RFC 1321 prints MD5("a") = 0cc1 7..., MD5("abc") = 9001 5... and MD5("message digest") = f96b 6...: all +."""
    for word, digits in (("a", 0x0CC1), ("abc", 0x9001)):
        expected = [0.0] * 10
        expected[digits % 10] = 1.0
        assert mean_of([word], 10) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, hello world!", ["hello", "hello", "world"]),
        ("don't—stop “now”…", ["don", "t", "stop", "now"]),
        ("a_b-c/d\te\nf\u00a0g", ["a", "b", "c", "d", "e", "f", "g"]),
        ("ÄÖ naïve Straße 購買、品 🛒", ["äö", "naïve", "straße", "購買", "品", "🛒"]),
        ("x2 2.5 [tag] {y}`z~ |\\", ["x2", "2", "5", "tag", "y", "z"]),
        ("... !?", []),
        ("", []),
    ],
)
def test_a_text_is_the_bag_of_its_words(text: str, words: list[str]) -> None:
    expected = [0.0] * 16
    for word in words:
        place, sign = place_and_sign(word, 16)
        expected[place] += sign
    assert mean_of([text], 16) == expected
    assert mean_of([text, None, "", None], 16) == [value / 2 for value in expected]  # of the two that are texts


def test_the_oracle_and_the_query_agree_on_which_characters_are_in_a_word() -> None:
    """Every character that a slip in the range of another could swallow, each in the text of one customer."""
    codes = [*range(1, 0x180), *range(0x2000, 0x2070), *range(0x2FE0, 0x3030), 0x1F6D2]
    codes.remove(0x130)  # a capital I with a dot, of which engines make one character or two
    texts = [f"ab{chr(code)}cd" for code in codes]
    table = pa.table({"u": codes, "t": pa.array([START.as_unit("us")] * len(codes)), "v": texts})
    log = cm.InteractionLog(table, customer_id="u", timestamp="t")
    found = cm.build_features(log, [cm.MeanVector("v", 97)], START + pd.Timedelta(days=1)).to_numpy()
    assert [code for code, row, text in zip(codes, found, texts, strict=True) if row.tolist() != hashed(text, 97)] == []


# Definitions ----------------------------------------------------------------------------------------------


def test_the_columns_are_numbered() -> None:
    features = cm.FeatureSet([cm.MeanVector("taste", 2, event_type="view", window="90d"), cm.Count()])
    assert features.names == ("mean_vector_taste_view_90d_0", "mean_vector_taste_view_90d_1", "count")
    assert len(features) == 2
    assert cm.from_data(cm.to_data(features)) == features


@pytest.mark.parametrize("size", [0, -1, 4097, 2.0, "3", None, True])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.MeanVector("v", size)
    assert str(caught.value) == f"MeanVector: size must be a whole number from 1 to 4096, not {size!r}. Use 64."


NO_VECTOR = (
    "MeanVector('v', 2): 'v' is {kind}, neither a list of numbers nor text. "
    "Use a column with a list of 2 numbers per event, or Mean('v') if it is one number."
)
BIG = (
    "'v' has a list with the number {value} (its sign aside), but only numbers below 1e+09 can be summed exactly. "
    "Mend it, or make the whole list missing (None)."
)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.5, 2.5], NO_VECTOR.format(kind="number")),
        ([["a", "b"]], NO_VECTOR.format(kind="varchar[]")),
        ([[[1, 2]]], NO_VECTOR.format(kind="bigint[][]")),
        ([[1, 2, 3], None], "MeanVector('v', 2): the lists in 'v' have 3 numbers, not 2. Use size=3."),
        (
            [[1, 2], [1, 2, 3], []],
            "MeanVector('v', 2): the lists in 'v' have from 0 to 3 numbers. Make them vectors of one length; "
            "a missing one is None.",
        ),
        (
            [[1, 2], [1, None]],
            "MeanVector('v', 2): a list in 'v' lacks some of its numbers. Fill them, or make the whole list "
            "missing (None).",
        ),
        ([[1.0, 2.0], [-1e9, 2.0]], BIG.format(value="1e+09")),
        ([[1.0, 2.0], [float("inf"), 2.0]], BIG.format(value="inf")),
        ([[1.0, 2.0], [float("nan"), 2.0]], BIG.format(value="nan")),
    ],
    ids=str,
)
def test_what_is_no_vector_is_refused(values: list[Any], message: str) -> None:
    with pytest.raises(cm.CrmmlError) as caught:
        mean_of(values, 2)
    assert str(caught.value) == message


def test_lists_that_are_all_missing_have_no_mean() -> None:
    assert np.isnan(mean_of([None, None], 2, pa.list_(pa.float64()))).all()


# Mutants --------------------------------------------------------------------------------------------------

ROWS = with_vectors(anchored(random_rows(Random(14), [EPOCH], customers=80, events=12)))
LISTS = [cm.MeanVector("vector", 3, window="3d"), cm.MeanVector("vector", 3, event_type="purchase")]
TEXTS = [cm.MeanVector("event_type", 8, window="3d"), cm.MeanVector("plan", 4)]
IN_LISTS = [
    Mutant("lists: window <= becomes <", r"age_us <= ", "age_us < "),
    Mutant("lists: the coordinate beside", r'\("vector"\[1\]', '("vector"[2]'),
    Mutant("lists: rounded to 6 places", r"DECIMAL\(18, 9\)", "DECIMAL(18, 6)"),
    Mutant("lists: events without one count", r'(AND )?NOT "vector" IS NULL', r"\1 TRUE"),
]
IN_TEXTS = [
    Mutant("texts: window forgotten", r"age_us <= \d+ AND (NOT event_type IS NULL\))", r"\1"),
    Mutant("texts: capitals are other words", r"LOWER\((event_type|\"plan\")\)", r"\1"),
    Mutant("texts: each word once", r"SUM\(plus_or_minus\)", "SUM(DISTINCT plus_or_minus)"),
    Mutant("texts: signs forgotten", r"ELSE -1 END", "ELSE 1 END"),
    Mutant("texts: eight is low", r"\) < 8", ") <= 8"),
    Mutant("texts: the sign from the fourth digit", r"SUBSTRING\(digest, 5, 1\)", "SUBSTRING(digest, 4, 1)"),
    Mutant("texts: the digits from 1 to 16", r"\) \* 16", ") * 17"),
    Mutant("texts: events without one count", r'COUNT_IF\(NOT "plan" IS NULL\)', "COUNT(*)"),
    Mutant("texts: one without a word is none", r"COALESCE\((\w+\.at_\d), 0\)", r"\1"),
]  # fmt: skip


def test_without_a_mutant_everything_agrees() -> None:
    assert vector_differences(ROWS, LISTS, [EPOCH], pa.list_(pa.float64())) == []
    assert feature_differences(ROWS, TEXTS, [EPOCH]) == []


@pytest.mark.parametrize("mutant", IN_LISTS, ids=str)
def test_the_oracle_finds_the_mutant_in_lists(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with built_in(mutant, monkeypatch):
        differences_ = vector_differences(ROWS, LISTS, [EPOCH], pa.list_(pa.float64()))
    assert differences_ != []


@pytest.mark.parametrize("mutant", IN_TEXTS, ids=str)
def test_the_oracle_finds_the_mutant_in_texts(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{**row, "event_type": row["event_type"] and f"{row['event_type']} View view 8 abc b"} for row in ROWS]
    with built_in(mutant, monkeypatch):
        differences_ = feature_differences(rows, TEXTS, [EPOCH])
    assert differences_ != []
