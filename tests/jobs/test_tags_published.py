"""Online Retail: tags and stages of a past day are those of a log that ends then, and stages say who comes back."""

from pathlib import Path

import pandas as pd
import pytest

import crmml as cm

pytestmark = pytest.mark.real

DAYS = ["2011-04-01", "2011-07-01", "2011-09-01"]
FEATURES = [cm.Recency(), cm.Sum("amount", window="90d"), cm.Count(window="30d"), cm.DaysActive()]
TAGS = [
    cm.Tag("spender", [cm.TagRule("big", where={"sum_amount_90d": cm.AtLeast(500)}), cm.TagRule("other")]),
    cm.Tag("call", [cm.TagRule("now", where={"spender": "big", "lifecycle": ["declining", "lost"]})]),
]


@pytest.fixture(scope="module")
def lines(shared_data: Path) -> pd.DataFrame:
    """The lines of goods that were bought by a known customer."""
    path = shared_data / "online_retail" / "transactions.parquet"
    if not path.is_file():
        pytest.skip(f"the data set is not here: {path}")
    found = pd.read_parquet(path)
    found = found[found["customer_id"].notna() & (found["quantity"] > 0)]
    return found.assign(customer_id=found["customer_id"].astype(int), amount=found["quantity"] * found["unit_price"])


def log_of(lines: pd.DataFrame, until: str = "2011-12-10") -> cm.InteractionLog:
    names = {"customer_id": "customer_id", "timestamp": "invoice_date", "amount": "amount"}
    return cm.InteractionLog(lines, **names, timezone="Europe/London", observed_until=until)


def test_a_past_day_is_what_that_day_would_have_said(lines: pd.DataFrame) -> None:
    rules = cm.Lifecycle("30d")
    whole = log_of(lines)
    tags, stages = cm.build_tags(whole, FEATURES, TAGS, DAYS, lifecycle=rules), cm.build_lifecycle(whole, rules, DAYS)
    for day in DAYS:
        moment = pd.Timestamp(day, tz="UTC")
        local = moment.tz_convert("Europe/London").tz_localize(None)
        then = log_of(lines[lines["invoice_date"] < local], day)
        for all_days, that_day in (
            (tags, cm.build_tags(then, FEATURES, TAGS, day, lifecycle=rules)),
            (stages, cm.build_lifecycle(then, rules, day)),
        ):
            mine = all_days[all_days["as_of"] == moment].reset_index(drop=True)
            pd.testing.assert_frame_equal(that_day, mine, check_exact=True)


def test_stages_say_who_comes_back(lines: pd.DataFrame) -> None:
    """Who buys within 90 days after the first of September: the fewer, the later in the lifecycle."""
    log = log_of(lines)
    rules = cm.Lifecycle.learn(log, "2011-06-01")
    stages = cm.build_lifecycle(log, rules, DAYS[-1])
    start = pd.Timestamp(DAYS[-1])
    later = lines.loc[lines["invoice_date"].between(start, start + pd.Timedelta(days=90)), "customer_id"]
    share = stages["customer_id"].isin(later).groupby(stages["segment"], observed=False).mean()
    assert share["maintained"] > share["declining"] > share["lost"]
    assert share["won back"] > share["lost"]
    assert share["maintained"] > 2 * share["lost"]
