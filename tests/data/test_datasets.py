"""The loaders of public data sets: what is published about them is found in what they give."""

import hashlib
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

import crmml as cm
from crmml import datasets
from crmml.data.log import InteractionLog
from crmml.errors import ConfigError, MissingExtraError, SchemaError
from tests.data.test_download import Shop, packed, shop
from tests.data.xlsx import write_xlsx

__all__ = ["shop"]  # the fixture

UCI = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
SUMMER, WINTER = datetime(2011, 7, 1, 9, 30), datetime(2010, 12, 1, 8, 26)
LINES: list[list[object]] = [
    [536365, "85123A", "HOLDER", 6, WINTER, 2.55, 17850, "United Kingdom"],
    [536365, 71053, "LANTERN", 6, WINTER, 3.39, 17850, "United Kingdom"],
    ["C536379", "85123A", "HOLDER", -1, SUMMER, 2.55, 17850, "United Kingdom"],
    [536370, "POST", "POSTAGE", 3, WINTER, 18, 12583, "France"],
    [536370, "POST", "POSTAGE", 3, WINTER, 18, 12583, "France"],
    [536414, 22139, None, -56, WINTER, 0, None, "United Kingdom"],
    ["A563185", "B", "Adjust bad debt", 1, SUMMER, 11062.06, None, "United Kingdom"],
]


def events(log: InteractionLog) -> pd.DataFrame:
    table: pd.DataFrame = log.events().to_pandas()
    return table


@pytest.fixture
def workbook(tmp_path: Path) -> Path:
    return write_xlsx(tmp_path / "Online Retail.xlsx", [UCI, *LINES])


# Online Retail ------------------------------------------------------------------------------------------------


def test_every_line_is_an_event(workbook: Path) -> None:
    log = datasets.online_retail(workbook)
    table = events(log).sort_values(["event_type", "amount"], ignore_index=True)
    columns = ["event_type", "item_id", "quantity", "amount", "customer_id", "invoice_no"]
    rows = [tuple(row) for row in table[columns].astype(object).where(table[columns].notna(), None).to_numpy()]
    assert rows == [
        ("adjustment", "22139", -56, 0.0, None, "536414"),
        ("adjustment", "B", 1, 11062.06, None, "A563185"),
        ("purchase", "85123A", 6, 15.3, 17850, "536365"),  # 6 x 2.55, exact: 15.299999999999999 in doubles
        ("purchase", "71053", 6, 20.34, 17850, "536365"),
        ("purchase", "POST", 3, 54.0, 12583, "536370"),
        ("purchase", "POST", 3, 54.0, 12583, "536370"),
        ("return", "85123A", -1, -2.55, 17850, "C536379"),
    ]
    assert log.attributes == ("invoice_no", "description", "unit_price", "country")


def test_times_are_those_of_the_shops_clock(workbook: Path) -> None:
    """Half past nine of a British summer is half past eight UTC; in winter the clocks agree."""
    found = events(datasets.online_retail(workbook)).groupby("event_type")["timestamp"].unique()
    assert found["return"].tolist() == [pd.Timestamp("2011-07-01 08:30")]
    assert found["purchase"].tolist() == [pd.Timestamp("2010-12-01 08:26")]


def test_the_steps_are_seen_one_by_one(workbook: Path) -> None:
    log = datasets.online_retail(workbook)
    cleaned = log.clean(*datasets.online_retail_cleaning()).cleaning_report()
    assert cleaned["step"].tolist() == [repr(step) for step in datasets.online_retail_cleaning()]
    # 2 lines without customer, 1 repeated, no adjustment left, 1 postage, none without price
    assert cleaned["rows_dropped"].tolist() == [2, 1, 0, 1, 0]
    literature = log.clean(*datasets.online_retail_cleaning("literature")).cleaning_report()
    assert literature["rows_dropped"].tolist() == [2, 1, 0]  # 1 cancellation


@pytest.mark.real
def test_online_retail_has_the_published_counts(shared_data: Path) -> None:
    log = datasets.online_retail(shared_data / "online_retail" / "transactions.parquet")
    table = events(log)
    assert len(table) == 541_909
    assert table["customer_id"].nunique() == 4_372
    assert table["customer_id"].isna().sum() == 135_080
    assert table["item_id"].nunique() == 4_070
    assert table["invoice_no"].nunique() == 25_900
    assert table["country"].nunique() == 38
    assert table["quantity"].sum() == 5_176_450
    assert round(table["amount"].sum(), 2) == 9_747_747.93
    # 9,288 lines of cancellations; 3 of bad debt and 1,336 negative quantities without a cancellation
    assert log.facts.event_types == {
        "purchase": 541_909 - 9_288 - 3 - 1_336,
        "return": 9_288,
        "adjustment": 3 + 1_336,
    }
    assert (table.loc[table["event_type"] == "return", "amount"] < 0).all()


@pytest.mark.real
def test_the_literatures_cleaning_of_online_retail(shared_data: Path) -> None:
    """397,884 lines and 4,338 customers, as published; 392,692 where repeated lines are dropped as well."""
    log = datasets.online_retail(shared_data / "online_retail" / "transactions.parquet")
    literature = log.clean(*datasets.online_retail_cleaning("literature"))
    kept = events(literature)
    assert len(kept) == 397_884
    assert kept["customer_id"].nunique() == 4_338
    assert (kept["amount"] > 0).all()
    assert literature.clean(cm.DropDuplicates()).facts.rows == 392_692


@pytest.mark.real
def test_the_cleaning_of_online_retail_for_customer_models(shared_data: Path) -> None:
    log = datasets.online_retail(shared_data / "online_retail" / "transactions.parquet")
    cleaned = log.clean(*datasets.online_retail_cleaning())
    assert cleaned.cleaning_report()["rows_after"].tolist() == [
        541_909 - 135_080,  # the published number of lines without customer
        401_604,  # 5,225 repeated lines of known customers, as the literature counts them
        401_604,  # adjustments have no customer
        399_689,
        399_656,
    ]
    items = events(cleaned)["item_id"]
    assert items.str.fullmatch(r"[0-9]{5}[A-Za-z]{0,2}").all()


# CDNOW --------------------------------------------------------------------------------------------------------

TEXT = " 00001 19970101  1   11.77\r\n 00002 19970112  1   12.00\r\n 00002 19970112  5   77.00\r\n"


def test_cdnow_reads_the_published_text(tmp_path: Path) -> None:
    (tmp_path / "CDNOW_master.txt").write_text(TEXT, newline="")
    table = events(datasets.cdnow(tmp_path / "CDNOW_master.txt")).sort_values("amount", ignore_index=True)
    assert table["customer_id"].tolist() == [1, 2, 2]
    assert table["timestamp"].tolist() == [pd.Timestamp(f"1997-01-{day}") for day in ("01", "12", "12")]
    assert table["event_type"].tolist() == ["purchase"] * 3
    assert table["quantity"].tolist() == [1, 1, 5]
    assert table["amount"].tolist() == [11.77, 12.0, 77.0]


@pytest.mark.real
def test_cdnow_has_the_published_counts(shared_data: Path) -> None:
    table = events(datasets.cdnow(shared_data / "cdnow" / "transactions.parquet"))
    assert len(table) == 69_659
    assert table["customer_id"].nunique() == 23_570
    assert table["quantity"].sum() == 167_881
    assert round(table["amount"].sum(), 2) == 2_500_315.63
    assert (table["amount"] == 0).sum() == 80


@pytest.mark.real
def test_the_digest_of_cdnow_is_that_of_the_published_table(shared_data: Path, tmp_path: Path) -> None:
    """The table in the layout of the published file, fields of 6, 9, 3 and 8 characters, has the digest."""
    rows = pd.read_parquet(shared_data / "cdnow" / "transactions.parquet").itertuples(index=False)
    lines = (f" {customer:05d} {date:%Y%m%d} {quantity:2d} {amount:7.2f}\r\n" for customer, date, quantity, amount in rows)  # fmt: skip  # noqa: E501
    text = "".join(lines).encode()
    assert hashlib.sha256(text).hexdigest() == datasets.CDNOW.sha256
    (tmp_path / "CDNOW_master.txt").write_bytes(text)
    from_text = events(datasets.cdnow(tmp_path / "CDNOW_master.txt"))
    from_parquet = events(datasets.cdnow(shared_data / "cdnow" / "transactions.parquet"))
    order = ["customer_id", "timestamp", "quantity", "amount"]
    pd.testing.assert_frame_equal(
        from_text.sort_values(order, ignore_index=True), from_parquet.sort_values(order, ignore_index=True)
    )


# Without a path -----------------------------------------------------------------------------------------------


def test_without_a_path_the_file_is_downloaded_once(shop: Shop, workbook: Path, tmp_path: Path) -> None:
    shop.body = packed("Online Retail.xlsx", workbook.read_bytes())
    source = datasets.Source(
        f"{shop.address}/online+retail.zip",
        "Online Retail.xlsx",
        hashlib.sha256(workbook.read_bytes()).hexdigest(),
    )
    for _ in range(2):
        log = datasets.online_retail(cache=tmp_path / "cache", progress=False, source=source)
        assert log.facts.rows == len(LINES)
    assert shop.requests == ["/online+retail.zip"]


def test_cdnow_is_downloaded_too(shop: Shop, tmp_path: Path) -> None:
    shop.body = packed("CDNOW_master.txt", TEXT.encode())
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    source = datasets.Source(f"{shop.address}/CDNOW_master.zip", "CDNOW_master.txt", digest)
    assert datasets.cdnow(cache=tmp_path, progress=False, source=source).facts.rows == 3


def test_the_sources_are_the_original_ones() -> None:
    assert datasets.ONLINE_RETAIL.url == "https://archive.ics.uci.edu/static/public/352/online+retail.zip"
    assert datasets.CDNOW.url == "https://www.brucehardie.com/datasets/CDNOW_master.zip"


def test_nothing_is_downloaded_that_cannot_be_read(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(MissingExtraError) as error:
        datasets.online_retail(cache=tmp_path, source=shop.source())
    assert str(error.value) == (
        "online_retail() of an xlsx file needs the package 'python-calamine'. "
        'Install it with: pip install "crmml[excel]"'
    )
    assert shop.requests == []


# What goes wrong ----------------------------------------------------------------------------------------------


def test_a_path_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        datasets.cdnow("cdnow/CDNOW_master.txt")
    assert str(error.value) == (
        f"cdnow: cdnow/CDNOW_master.txt is not there (looked in {tmp_path}). Give the path of a file like "
        "'CDNOW_master.txt', or no path: cdnow() downloads it."
    )


def test_a_file_of_another_data_set(tmp_path: Path) -> None:
    file = tmp_path / "transactions.parquet"
    pd.DataFrame({"customer_id": [1], "date": ["1997-01-01"], "amount": [1.0]}).to_parquet(file)
    with pytest.raises(SchemaError) as error:
        datasets.online_retail(file)
    assert str(error.value) == (
        f"online_retail: {file} has no column 'invoice_no' and no 'stock_code' and no 'description' and no "
        "'quantity' and no 'invoice_date' and no 'unit_price' and no 'country'. It has: 'customer_id', 'date', "
        "'amount'. Rename them, or give the published file, like 'Online Retail.xlsx'."
    )


def test_an_unknown_purpose_of_cleaning() -> None:
    with pytest.raises(ConfigError) as error:
        datasets.online_retail_cleaning("customer")
    assert str(error.value) == (
        "online_retail_cleaning: no purpose 'customer'. Did you mean 'customers'? Use 'customers' or 'literature'."
    )


def test_loading_the_module_loads_no_progress_bar_and_no_spreadsheet_reader() -> None:
    code = (
        "import sys, crmml.data.datasets;"
        "print(sorted({'tqdm', 'python_calamine', 'polars', 'requests'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout == "[]\n"
