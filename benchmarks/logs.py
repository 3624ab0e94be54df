"""The public logs that the model benchmarks run on: Online Retail II, CDNOW and a sample of the Complete Journey.

Online Retail II is two years of one shop (UCI data set 502), published as two sheets: a folder per sheet, of which
the first nine days of December 2010 are in both. `data` is the folder that holds `online_retail_2009_2010`,
`online_retail` and `cdnow`, each with its `transactions.parquet`, and `complete_journey` with its
`transactions_sample.parquet` (dunnhumby's grocery households, a sample of 75,000 lines).
"""

from pathlib import Path
from typing import Any

import pandas as pd

import crmml as cm

FILE = "transactions.parquet"
# From here on, the second sheet has all that the first one has.
OVERLAP = pd.Timestamp("2010-12-01", tz="Europe/London")
ROLES = {name: name for name in ("customer_id", "timestamp", "event_type", "item_id", "amount", "quantity")}


def online_retail_2(data: Path) -> Any:
    """Purchases and returns of two years, cleaned as for customer models."""
    first, second = (
        cm.datasets.online_retail(data / sheet / FILE).events().to_pandas()
        for sheet in ("online_retail_2009_2010", "online_retail")
    )
    first = first[first["timestamp"] < _plain(OVERLAP, first["timestamp"])]
    log = cm.InteractionLog(pd.concat([first, second], ignore_index=True), **ROLES, timezone="UTC")
    return log.clean(*cm.datasets.online_retail_cleaning())


def cdnow(data: Path) -> Any:
    """The purchases of those who first bought in early 1997, without those for nothing."""
    return cm.datasets.cdnow(data / "cdnow" / FILE).clean(cm.KeepBetween("amount", minimum=0.01))


def complete_journey(data: Path) -> Any:
    """The lines of grocery receipts of one year, of some 2,300 households."""
    return cm.InteractionLog(
        data / "complete_journey" / "transactions_sample.parquet",
        customer_id="household_id",
        timestamp="transaction_timestamp",
        event_type=cm.Constant("purchase"),
        amount="sales_value",
        timezone="UTC",
    )


def _plain(moment: pd.Timestamp, like: "pd.Series[Any]") -> pd.Timestamp:
    """The moment with or without a zone, as the column has it."""
    return moment.tz_convert("UTC") if like.dt.tz is not None else moment.tz_convert("UTC").tz_localize(None)
