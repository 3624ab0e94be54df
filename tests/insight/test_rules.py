"""Baskets and their rules: by hand, published counts, what is planted is found, what is shuffled is not."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.errors import ConfigError, DataError, SchemaError
from crmml.insight.baskets import Baskets
from crmml.insight.rules import association_rules


def baskets_of(rows: list[str], **columns: Any) -> Baskets:
    """Baskets of one-letter items: "ab" holds a and b."""
    lines = pd.DataFrame([(n, item) for n, row in enumerate(rows) for item in row], columns=["basket_id", "item_id"])
    return Baskets.from_frame(lines, **columns)


FIVE = ["abc", "ab", "ab", "a", "c"]


class TestByHand:
    def test_support_confidence_and_lift(self) -> None:
        found = association_rules(baskets_of(FIVE), min_support=0.6, min_confidence=0.7, hold_out=0)
        rows = found.table.set_index("consequent")
        assert rows["antecedent"].to_dict() == {"a": ("b",), "b": ("a",)}
        measured = rows[["baskets", "support", "confidence", "lift"]]
        assert list(measured.loc["a"]) == pytest.approx([3, 3 / 5, 3 / 3, (3 / 3) / (4 / 5)])
        assert list(measured.loc["b"]) == pytest.approx([3, 3 / 5, 3 / 4, (3 / 4) / (3 / 5)])
        assert found.itemsets["items"].tolist() == [("a",), ("b",), ("a", "b")]

    def test_a_confidence_that_is_just_met_counts(self) -> None:
        # 8 of 10: as floats, .08 / .1 is below .8 for some supports.
        rows = ["ab"] * 8 + ["a"] * 2 + ["c"] * 87
        assert len(association_rules(baskets_of(rows), min_support=8 / 97, min_confidence=0.8, hold_out=0)) == 2

    def test_a_line_twice_counts_once(self) -> None:
        assert baskets_of(["aab"]).lines.toarray().tolist() == [[1, 1]]

    def test_the_latest_baskets_test_the_rules(self) -> None:
        lines = pd.DataFrame(
            [(n, item, -n) for n, row in enumerate(["a", "ab", "ab", "ab"]) for item in row],
            columns=["basket_id", "item_id", "at"],
        )
        baskets = Baskets.from_frame(lines, timestamp="at")
        search, test = baskets.divided(0.25)
        assert test.times.tolist() == [0]  # the first basket is the latest
        assert search.times.tolist() == [-3, -2, -1]
        found = association_rules(baskets, min_confidence=0.5, hold_out=0.25).table.set_index("consequent")
        assert found["confidence"].to_dict() == {"a": 1.0, "b": 1.0}
        assert found["confidence_later"].fillna(-1).to_dict() == {"a": -1.0, "b": 0.0}  # no basket with b is left

    def test_baskets_of_one_moment_stay_together(self) -> None:
        table = pd.DataFrame({"basket_id": range(10), "item_id": "a", "at": [0] * 6 + [1] * 4})
        assert [len(side) for side in Baskets.from_frame(table, timestamp="at").divided(0.2)] == [6, 4]

    def test_the_draw_does_not_depend_on_the_order_of_the_lines(self) -> None:
        rows = [f"a{chr(98 + n % 20)}" for n in range(60)]
        lines = pd.DataFrame(
            [(n, item) for n, row in enumerate(rows) for item in row], columns=["basket_id", "item_id"]
        )
        one, other = (Baskets.from_frame(table) for table in (lines, lines.sample(frac=1, random_state=1)))
        for mine, theirs in zip(one.divided(0.3), other.divided(0.3), strict=True):
            assert (mine.lines != theirs.lines).nnz == 0


class TestFromALog:
    frame = pd.DataFrame(
        {
            "who": [1, 1, 1, 2, 2, 1],
            "ts": pd.to_datetime(["2024-01-01", "2024-01-01", "2024-01-02", "2024-01-01", "2024-01-03", "2024-01-04"]),
            "sku": ["a", "b", "a", "a", None, "c"],
            "invoice": ["i1", "i1", "i1", "i1", "i2", "i3"],
            "kind": ["purchase"] * 5 + ["view"],
        }
    )

    def log(self) -> cm.InteractionLog:
        return cm.InteractionLog(
            self.frame, customer_id="who", timestamp="ts", item_id="sku", event_type="kind", timezone="UTC"
        )

    def lines(self, **arguments: Any) -> list[list[str]]:
        baskets = Baskets.from_log(self.log(), **arguments)
        return [baskets.items[baskets.lines[[row]].indices].tolist() for row in range(len(baskets))]

    def test_a_moment_of_a_customer_is_a_basket(self) -> None:
        assert self.lines() == [["a", "b"], ["a"], ["a"], ["c"]]

    def test_an_order_of_a_customer_is_a_basket(self) -> None:
        assert self.lines(order="invoice") == [["a", "b"], ["a"], ["c"]]

    def test_only_the_events_asked_for_and_before_the_cutoff(self) -> None:
        assert self.lines(event_type="purchase") == [["a", "b"], ["a"], ["a"]]
        assert self.lines(as_of="2024-01-02") == [["a", "b"], ["a"]]

    def test_what_became_known_later_is_not_seen(self) -> None:
        frame = self.frame.assign(known=self.frame["ts"] + pd.Timedelta(days=10)).assign(
            known=lambda t: t["known"].where(t.index != 3)
        )
        log = cm.InteractionLog(
            frame, customer_id="who", timestamp="ts", item_id="sku", recorded_at="known", timezone="UTC"
        )
        assert len(Baskets.from_log(log, as_of="2024-01-11 00:00:01")) == 2  # of 01-01, and the one known at once
        assert len(Baskets.from_log(log, as_of="2024-01-11")) == 1

    def test_what_is_missing_is_named(self) -> None:
        with pytest.raises(DataError) as caught:
            Baskets.from_log(self.log(), event_type="purchase", as_of="2024-01-01")
        assert str(caught.value) == (
            f"Baskets.from_log: no event with an item is left of {self.log()!r} (order=None, event_type='purchase', "
            "as_of='2024-01-01'). Use another event_type or a later as_of."
        )
        log = cm.InteractionLog(self.frame, customer_id="who", timestamp="ts", timezone="UTC")
        with pytest.raises(SchemaError) as missing:
            Baskets.from_log(log)
        assert str(missing.value).startswith("Baskets.from_log: the log has no item_id.")


def random_rows(random: np.random.Generator, baskets: int, planted: bool) -> list[str]:
    """Baskets of very different sizes; in the planted ones h brings i."""
    rows = []
    for inclination in np.exp(random.normal(-1, 1, size=baskets)):
        row = [item for item in "abcdefgh" if random.random() < min(0.9, inclination / 2)]
        if planted and "h" in row and random.random() < 0.8:
            row.append("i")
        rows.append("".join([*row, *("i" if "i" not in row and random.random() < min(0.5, inclination / 9) else "")]))
    return [row for row in rows if row]


@pytest.mark.parametrize("hold_out", [0.3, 0.0])
class TestProof:
    def test_what_is_planted_is_proven(self, hold_out: float) -> None:
        rows = random_rows(np.random.default_rng(0), 3000, planted=True)
        found = association_rules(baskets_of(rows), min_confidence=0.1, longest=3, hold_out=hold_out)
        proven = list(zip(found.proven["antecedent"], found.proven["consequent"], strict=True))
        assert (("h",), "i") in proven
        assert all({*antecedent, consequent} == {"h", "i"} for antecedent, consequent in proven)
        assert len(found) > 100

    def test_what_is_chance_is_not(self, hold_out: float) -> None:
        random, false = np.random.default_rng(1), 0
        for _ in range(12):
            found = association_rules(
                baskets_of(random_rows(random, 400, planted=False)),
                min_confidence=0.1, longest=3, hold_out=hold_out, false_rules=0.1,
            )  # fmt: skip
            assert len(found) > 50
            false += len(found.proven) > 0
        assert false <= 4  # 1.2 expected at most; 5 or more of 12 happen once in two hundred times at 10 %


@pytest.mark.real
def test_groceries_have_their_published_counts(shared_data: Path) -> None:
    folder = shared_data / "basket_groceries"
    if not folder.is_dir():
        pytest.skip(f"the data set is not here: {folder}")
    lines = pd.read_parquet(folder / "items.parquet")
    baskets = Baskets.from_frame(lines, basket_id="transaction_id", item_id="item")
    found = association_rules(baskets, min_support=0.001, min_confidence=0.8, longest=None, hold_out=0)
    # As the documentation of arules has them: 410 rules, of 13,492 itemsets.
    assert (len(found.itemsets), len(found)) == (13_492, 410)
    few = association_rules(baskets, min_support=0.01, min_confidence=0.5, longest=None, hold_out=0)
    assert (len(few.itemsets), len(few)) == (333, 15)
    later = association_rules(baskets, min_support=0.01)
    strongest = later.proven.iloc[0]
    assert (strongest["antecedent"], strongest["consequent"]) == (("beef",), "root vegetables")


SAME = "Drop these rows: frame.dropna(subset=['item_id'])."


@pytest.mark.parametrize(
    ("frame", "kind", "message"),
    [
        (
            pd.DataFrame({"basket_id": [1], "item": ["a"]}),
            SchemaError,
            "no column 'item_id'. Did you mean 'item'? The frame has: 'basket_id', 'item'.",
        ),
        (
            pd.DataFrame({"basket_id": [1, 2], "item_id": ["a", None]}),
            DataError,
            f"1 of 2 values of 'item_id' are missing. {SAME}",
        ),
        (
            pd.DataFrame({"basket_id": [], "item_id": []}),
            DataError,
            "the frame has no rows. Give at least one line.",
        ),
    ],
)
def test_bad_tables_are_named(frame: pd.DataFrame, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        Baskets.from_frame(frame)
    assert str(caught.value) == f"Baskets.from_frame: {message}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_support": 0}, "min_support is 0. Use a share above 0 and up to 1, such as 0.1."),
        ({"min_confidence": 1.5}, "min_confidence is 1.5. Use a share above 0 and up to 1, such as 0.1."),
        ({"hold_out": 1}, "hold_out is 1. Use 0, or a share below 1, such as 0.3."),
        ({"false_rules": "x"}, "false_rules is 'x'. Use a share, such as 0.05."),
        ({"longest": 0}, "longest is 0. Use a whole number of at least 1, such as longest=10."),
    ],
)
def test_bad_parameters_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        association_rules(baskets_of(FIVE), **arguments)
    assert str(caught.value) == f"association_rules: {message}"


def test_too_few_baskets_to_hold_any_out() -> None:
    with pytest.raises(DataError) as caught:
        association_rules(baskets_of(["ab"]))
    assert str(caught.value) == (
        "Baskets.divided: hold_out=0.3 of 1 baskets leaves one side empty. "
        "Use more baskets, or hold_out=0 in association_rules."
    )


def test_too_many_itemsets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crmml.insight.rules.MOST_ITEMSETS", 5)
    with pytest.raises(DataError) as caught:
        association_rules(baskets_of(["abc"] * 3), min_support=0.2, hold_out=0)
    assert str(caught.value) == (
        "association_rules: more than 5 itemsets stand in 1 or more of 3 baskets. "
        "Use a higher min_support, such as 0.4, or a lower longest."
    )


def test_what_is_rarer_than_usual_is_no_rule() -> None:
    # Half of those who take a take b with it, which nobody does who takes one item; but large baskets all hold b.
    rows = ["ab", "ac"] * 100 + ["c", "d", "e"] * 100 + ["bcdef"] * 700
    found = association_rules(baskets_of(rows), min_confidence=0.3, longest=2)
    row = next(row for row in found.table.to_dict("records") if (row["antecedent"], row["consequent"]) == (("a",), "b"))
    assert row["q_value"] < 0.01
    assert row["lift_later"] < 1
    assert not row["proven"]


def test_no_rule_is_a_result() -> None:
    found = association_rules(baskets_of(["a", "b", "c", "d"] * 5))
    assert (len(found), len(found.proven)) == (0, 0)
    assert str(found) == (
        "0 rules found in 14 baskets, tested on 6 others: 0 are more than chance\n(of these at most 5% are false)"
    )
