"""Loaders of public data sets: downloaded from their authors, or read from a file that one already has.

A loader gives the raw log, with everything that is odd in it. What the literature leaves out is left out by named
steps, so that each can be seen, counted and replaced:

    log = crmml.datasets.online_retail("Online Retail.xlsx").clean(*crmml.datasets.online_retail_cleaning())
    print(log.cleaning_report())
"""

from pathlib import Path

import pandas as pd

from crmml.data.cleaning import CleaningStep, DropDuplicates, DropMissing, Keep, KeepBetween
from crmml.data.download import Source, download
from crmml.data.log import InteractionLog
from crmml.data.published import Published, read_published, require_xlsx
from crmml.data.roles import Constant
from crmml.errors import ConfigError, did_you_mean

__all__ = ["Source", "cdnow", "online_retail", "online_retail_cleaning"]

# UCI Machine Learning Repository, data set 352; CC BY 4.0.
ONLINE_RETAIL = Source(
    url="https://archive.ics.uci.edu/static/public/352/online+retail.zip",
    member="Online Retail.xlsx",
    sha256="43465a06f2ccf7c8b5bd2892bc7defb52f97487934fe93b16ae4c3936424676d",
)

# Bruce Hardie's page of data sets.
CDNOW = Source(
    url="https://www.brucehardie.com/datasets/CDNOW_master.zip",
    member="CDNOW_master.txt",
    sha256="61fd6f7bf3497187a7ec0d9ff6a99b7568f1fe911a9f3665e02efecd6b34ed07",
)

_ONLINE_RETAIL = Published(
    loader="online_retail",
    columns={
        "invoice_no": "text",
        "stock_code": "text",
        "description": "text",
        "quantity": "whole",
        "invoice_date": "time",
        "unit_price": "number",
        "customer_id": "whole",
        "country": "text",
    },
    suffixes=(".xlsx", ".csv", ".parquet"),
    example=ONLINE_RETAIL.member,
)
_CDNOW = Published(
    loader="cdnow",
    columns={"customer_id": "whole", "date": "time", "quantity": "whole", "amount": "number"},
    suffixes=(".txt", ".csv", ".parquet"),
    example=CDNOW.member,
)


def online_retail(
    path: str | Path | None = None,
    *,
    cache: str | Path | None = None,
    progress: bool = True,
    source: Source = ONLINE_RETAIL,
) -> InteractionLog:
    """Online Retail: the invoice lines of a British gift wholesaler, 2010-12-01 to 2011-12-09 (Chen et al. 2012).

    541,909 lines of 4,372 known customers; 135,080 lines have no customer. Each line is an event. Its `event_type`
    is "return" on a cancellation (the invoice number begins with C), "adjustment" where stock or debt is corrected
    (invoice number with A, or a quantity below zero without being a cancellation), else "purchase". `amount` is
    quantity times unit price, in pounds, below zero for returns; `invoice_no` (the order), `description`,
    `unit_price` and `country` are attributes. Times are those of the shop's clock: zone Europe/London.

    Nothing is left out here: that is for the steps of `online_retail_cleaning`.

    Args:
        path: the published `Online Retail.xlsx` (needs the extra `excel`), or a CSV or Parquet file with its columns
            (`InvoiceNo` or `invoice_no`, ...). Without it, the file is downloaded (23 MB).
        cache: folder that keeps the download; `~/.cache/crmml` by default.
        progress: show how the download goes.
        source: where to download from.

    Raises:
        ConfigError: there is no such file, or it is of a kind that cannot be read.
        SchemaError: columns are missing.
        DataError: the file or a value in it is damaged, or the download fails or has a wrong digest.
        MissingExtraError: an xlsx file, and python-calamine is not installed.

    >>> from crmml import datasets
    >>> datasets.online_retail("Online Retail.ods")
    Traceback (most recent call last):
        ...
    crmml.errors.ConfigError: online_retail: Online Retail.ods ends in none of .xlsx, .csv, .parquet. Give the path \
of a file like 'Online Retail.xlsx'.
    """
    if path is None:
        require_xlsx("online_retail")  # before 23 MB are downloaded in vain
        path = download(source, cache, progress=progress)
    lines = read_published(path, _ONLINE_RETAIL)
    lines["event_type"] = _kinds(lines)
    # Thousandths of a pound are exact in a decimal, not in a double: 6 x 2.55 is 15.299999999999999.
    lines["amount"] = (lines["quantity"].astype("Float64") * lines["unit_price"]).round(3)
    return InteractionLog(
        lines,
        customer_id="customer_id",
        timestamp="invoice_date",
        event_type="event_type",
        item_id="stock_code",
        amount="amount",
        quantity="quantity",
        timezone="Europe/London",
    )


def online_retail_cleaning(purpose: str = "customers") -> tuple[CleaningStep, ...]:
    """The steps that clean Online Retail: `log.clean(*online_retail_cleaning())`.

    For "customers", what customer models need: known customers; each line once; purchases, and cancellations as
    returns; products only; a price. Product codes begin with five digits; those of postage (POST, DOT, C2), fees
    (AMAZONFEE, BANK CHARGES, CRUK), discounts (D), corrections by hand (M), samples (S) and vouchers (gift_...) do
    not. It keeps 399,656 lines of 4,362 customers.

    For "literature", what most papers do: known customers, no cancellations, a price. It keeps the published
    397,884 lines of 4,338 customers.

    Prices are in thousandths of a pound at most, so that 0.001 is the least above zero.

    Args:
        purpose: "customers" or "literature".

    Raises:
        ConfigError: another purpose.

    >>> from crmml import datasets
    >>> for step in datasets.online_retail_cleaning("literature"):
    ...     step
    DropMissing('customer_id')
    Keep('event_type', values=['purchase'])
    KeepBetween('unit_price', minimum=0.001)
    """
    known, priced = DropMissing("customer_id"), KeepBetween("unit_price", minimum=0.001)
    steps: dict[str, tuple[CleaningStep, ...]] = {
        "customers": (
            known,
            DropDuplicates(),
            Keep("event_type", values=["purchase", "return"]),
            Keep("item_id", pattern="^[0-9]{5}"),
            priced,
        ),
        "literature": (known, Keep("event_type", values=["purchase"]), priced),
    }
    if purpose not in steps:
        raise ConfigError(
            f"online_retail_cleaning: no purpose {purpose!r}.{did_you_mean(str(purpose), steps)} "
            "Use 'customers' or 'literature'."
        )
    return steps[purpose]


def _kinds(lines: pd.DataFrame) -> "pd.Series[str]":
    invoice = lines["invoice_no"].fillna("")
    kinds = pd.Series("purchase", index=lines.index, dtype="str")
    adjusted = invoice.str.startswith("A") | (lines["quantity"] < 0).fillna(False)
    kinds[adjusted] = "adjustment"
    kinds[invoice.str.startswith("C")] = "return"
    return kinds


def cdnow(
    path: str | Path | None = None,
    *,
    cache: str | Path | None = None,
    progress: bool = True,
    source: Source = CDNOW,
) -> InteractionLog:
    """CDNOW: the purchases until June 1998 of those who first bought in early 1997 (Fader & Hardie 2001).

    69,659 purchases of 23,570 customers, on dates; 167,881 CDs (`quantity`) for 2,500,315.63 dollars (`amount`).
    Times are midnight UTC. The 80 purchases for nothing and the 255 repeated rows are kept.

    Args:
        path: the published `CDNOW_master.txt`, or a CSV or Parquet file with the columns `customer_id`, `date`,
            `quantity`, `amount`. Without it, the file is downloaded (0.4 MB).
        cache: folder that keeps the download; `~/.cache/crmml` by default.
        progress: show how the download goes.
        source: where to download from.

    Raises:
        ConfigError: there is no such file, or it is of a kind that cannot be read.
        SchemaError: columns are missing.
        DataError: the file or a value in it is damaged, or the download fails or has a wrong digest.

    >>> import tempfile
    >>> from crmml import datasets
    >>> file = Path(tempfile.mkdtemp()) / "CDNOW_master.txt"
    >>> _ = file.write_text(" 00001 19970101  1   11.77\\n 00002 19970112  1   12.00\\n 00002 19970112  5   77.00\\n")
    >>> datasets.cdnow(file).events(["customer_id", "quantity", "amount"]).to_pylist()[0]
    {'customer_id': 1, 'quantity': 1, 'amount': 11.77}
    """
    if path is None:
        path = download(source, cache, progress=progress)
    purchases = read_published(path, _CDNOW)
    return InteractionLog(
        purchases,
        customer_id="customer_id",
        timestamp="date",
        event_type=Constant("purchase"),
        amount="amount",
        quantity="quantity",
        timezone="UTC",
    )
