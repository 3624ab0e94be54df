"""Cross-sell: by hand, against a shop where only one category leads to another, and where none does."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

import crmml as cm
from crmml.errors import ConfigError, DataError, SchemaError
from crmml.insight import cross_sell as module_of_pairs
from tests.models.mutants import dies

AS_OF, DAY = pd.Timestamp("2024-07-01", tz="UTC"), pd.Timedelta(days=1)


def log_of(rows: list[tuple[Any, str, int]], **more: Any) -> cm.InteractionLog:
    """A log of (customer, category, days before the cutoff)."""
    frame = pd.DataFrame(rows, columns=["customer", "category", "days"])
    frame["ts"] = AS_OF - frame.pop("days") * DAY
    frame["kind"] = "purchase"
    return cm.InteractionLog(frame.assign(**more), customer_id="customer", timestamp="ts", event_type="kind")


def a_shop() -> list[tuple[Any, str, int]]:
    """100 have tea and 100 nuts for long; of tea's, 20 and 32 buy a cup in the two periods, of the nuts' 5 and 10.

    Thirty more have had nuts and a cup all the time.
    """
    rows: list[tuple[Any, str, int]] = [(who, "tea" if who < 100 else "nuts", 300) for who in range(200)]
    rows += [(who, kind, 300) for who in range(200, 230) for kind in ("nuts", "cup")]
    rows += [(who, "cup", 45) for who in (*range(20), *range(100, 105))]
    return [*rows, *((who, "cup", 15) for who in (*range(20, 52), *range(105, 115)))]


def pairs_by_hand(module: ModuleType) -> None:
    found = module.cross_sell(log_of(a_shop()), as_of=AS_OF, horizon="30d", least=10)
    assert found.searched == 6
    assert found.pairs[["from_category", "to_category"]].to_numpy().tolist() == [["tea", "cup"]]
    pair = found.pairs.iloc[0]
    # When the measuring begins, 80 have tea and no cup, 95 nuts and none; 32 and 10 of them buy one.
    assert pair["customers"] == 80
    assert (pair["rate"], pair["base_rate"]) == (32 / 80, 42 / 175)
    assert pair["lift"] == pytest.approx((32 / 80) / (42 / 175))
    # Alike are all with one category: 42 of 175 bought, of whom 80 x 42 / 175 = 19.2 by chance had tea.
    assert pair["lift_alike"] == pytest.approx(32 / 19.2)
    # Fisher's exact test: 32 or more of 80 drawn from 175 with 42 marked.
    assert pair["p_value"] == pytest.approx(fisher_exact([[32, 48], [10, 85]], alternative="greater").pvalue)
    assert pair["proven"]
    # 48 have tea and still no cup.
    table = found.candidates()
    assert table["customer_id"].tolist() == list(range(52, 100))
    assert set(table["to_category"]) == {"cup"}
    assert table["rate"].tolist() == [0.4] * 48
    assert (table["as_of"] == AS_OF).all()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("_found(first, end - 2 * step, end - step, least), end - step, end)", "_found(first, 0, end, least), 0, end)"),
        ("(size > 0) & ~holds[other]", "(size > 0)"),
        ("np.bincount(size[some]", "np.bincount(size[some] - has[some]"),
        ("(self.time < end) & (self.time >= start)", "self.time < end"),
        ("rows = np.setdiff1d(has", "rows = np.union1d(has"),
        ("hits > customers * base", "hits >= customers"),
    ],
    ids=["one period", "who has it already", "the category itself", "ever", "to all", "all of them"],
)
def test_mutants_die(old: str, new: str, tmp_path: Path) -> None:
    dies(pairs_by_hand, module_of_pairs, old, new, tmp_path)


def world(seed: int, *, effect: float, customers: int = 1500, kinds: int = 8) -> cm.InteractionLog:
    """Active customers buy in everything; who has c0 buys in c1 `effect` times as fast."""
    random = np.random.default_rng(seed)
    rate = random.gamma(0.8, 0.02, size=(customers, 1)) * random.uniform(0.1, 1.0, size=kinds)
    first = random.exponential(1 / rate)  # days from the start, 360 before the cutoff
    left = first[:, 1] - first[:, 0]
    first[:, 1] = np.where(left > 0, first[:, 0] + left / effect, first[:, 1])
    who, what = np.nonzero(first < 360)
    days = (360 - first[who, what]).tolist()
    return log_of([(int(one), f"c{kind}", day) for one, kind, day in zip(who, what, days, strict=True)])


def test_the_one_pair_that_is_there_is_found_among_active_customers() -> None:
    found = cm.cross_sell(world(1, effect=4.0, customers=6000), as_of=AS_OF, horizon="60d", least=30)
    proven = found.pairs[found.pairs["proven"]]
    assert list(zip(proven["from_category"], proven["to_category"], strict=True))[:1] == [("c0", "c1")]
    assert len(proven) <= 2
    # Every pair looks like one to those who do not compare alike with alike.
    assert (found.pairs["lift"] > 1.2).mean() > 0.5
    assert found.pairs["lift_alike"].median() < 1.2
    assert str(found).splitlines()[1].startswith("  c0 -> c1: ")


def test_where_nothing_leads_to_anything_little_is_found() -> None:
    """At most 5 % of false pairs: where all are false, any at all in at most 5 % of the shops."""
    shops = [cm.cross_sell(world(seed, effect=1.0), as_of=AS_OF, horizon="60d", least=30) for seed in range(30)]
    assert sum(bool(shop.pairs["proven"].any()) for shop in shops) <= 4  # 1.5 expected, more than 4: .4 %
    assert sum(len(shop.pairs) for shop in shops) > 300


def test_the_interval_of_the_lift_holds_the_truth() -> None:
    random, held = np.random.default_rng(0), 0
    has = np.arange(1000) < 200
    everybody = np.ones(1000, dtype=bool)
    for _ in range(200):
        buys = random.random(1000) < np.where(has, 0.2, 0.1)
        found = module_of_pairs._pair(has, everybody, buys, has.astype(np.int64) + 1)
        held += found["lift_lo"] <= 0.2 / 0.12 <= found["lift_hi"]
    assert 182 <= held <= 198  # 190 expected; outside with a probability of 1 %


def test_nothing_at_or_after_the_cutoff_is_seen_nor_what_became_known_later() -> None:
    rows = a_shop()
    expected = cm.cross_sell(log_of(rows), as_of=AS_OF, horizon="30d", least=10)
    later = [*rows, *((who, "cup", -1) for who in range(200)), *((who, "nuts", 0) for who in range(100))]
    found = cm.cross_sell(log_of(later), as_of=AS_OF, horizon="30d", least=10)
    pd.testing.assert_frame_equal(found.pairs, expected.pairs)
    pd.testing.assert_frame_equal(found.candidates(), expected.candidates())
    late = [*rows, *((who, "cup", 5) for who in range(60, 100))]
    known = [AS_OF - DAY * 400] * len(rows) + [AS_OF] * 40
    frame = pd.DataFrame(late, columns=["customer", "category", "days"]).assign(kind="purchase", known=known)
    frame["ts"] = AS_OF - frame.pop("days") * DAY
    log = cm.InteractionLog(frame, customer_id="customer", timestamp="ts", event_type="kind", recorded_at="known")
    pd.testing.assert_frame_equal(cm.cross_sell(log, as_of=AS_OF, horizon="30d", least=10).pairs, expected.pairs)


def test_the_order_of_the_rows_and_evil_names_do_not_matter() -> None:
    rows = a_shop()
    names = {"tea": "o'hara\"; drop --", "cup": "🛒", "nuts": "  "}
    shuffled = [rows[at] for at in np.random.default_rng(0).permutation(len(rows))]
    log = log_of([(who, names[kind], days) for who, kind, days in shuffled])
    found, expected = (cm.cross_sell(one, as_of=AS_OF, horizon="30d", least=10).pairs for one in (log, log_of(rows)))
    assert found["from_category"].tolist() == [names["tea"]]
    assert found["to_category"].tolist() == [names["cup"]]
    assert found["p_value"].tolist() == expected["p_value"].tolist()


def test_no_pairs_give_empty_tables() -> None:
    found = cm.cross_sell(log_of(a_shop()), as_of=AS_OF, horizon="30d", least=1000)
    assert len(found) == 0
    assert len(found.candidates()) == 0
    assert str(found).startswith("6 pairs of categories, 0 found, 0 more than chance as of 2024-07-01")


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (
            SchemaError,
            {"category": "categori"},
            "cross_sell: the log has no 'categori'. Did you mean 'category'? It has: 'customer_id', 'timestamp', "
            "'event_type', 'category'.",
        ),
        (
            ConfigError,
            {"false_pairs": 1},
            "cross_sell: false_pairs is 1. Use a share between 0 and 1, such as 0.05.",
        ),
        (ConfigError, {"least": 0}, "cross_sell: least is 0. Use a whole number of at least 1, such as least=10."),
        (
            DataError,
            {"horizon": "200d"},
            "cross_sell: nobody bought in any category before 2023-05-28, two horizons before the cutoff. "
            "Use a later as_of or a shorter horizon.",
        ),
    ],
)
def test_bad_input_is_named(kind: type[Exception], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(kind) as caught:
        cm.cross_sell(log_of(a_shop()), **{"as_of": AS_OF, "horizon": "30d", **changes})
    assert str(caught.value) == message
