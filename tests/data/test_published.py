"""The published tables are read the same from every kind of file, and what is wrong in them is named."""

import sys
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmml.data.published import Published, read_published
from crmml.errors import ConfigError, DataError, MissingExtraError, SchemaError
from tests.data.xlsx import write_xlsx

LINES = Published(
    loader="lines",
    columns={"invoice_no": "text", "quantity": "whole", "invoice_date": "time", "unit_price": "number"},
    suffixes=(".xlsx", ".csv", ".parquet", ".txt"),
    example="Lines.xlsx",
)
UCI = ["InvoiceNo", "Quantity", "InvoiceDate", "UnitPrice"]
EXPECTED = pd.DataFrame(
    {
        "invoice_no": pd.Series(["536365", "C536379", None], dtype="str"),
        "quantity": pd.Series([6, -1, None], dtype="Int64"),
        "invoice_date": pd.Series(
            [datetime(2010, 12, 1, 8, 26), datetime(2010, 12, 1, 9, 41), None], dtype="datetime64[us]"
        ),
        "unit_price": [2.55, 27.5, None],
    }
)


def test_xlsx(tmp_path: Path) -> None:
    """A spreadsheet keeps codes that are digits as numbers, and times as fractions of days."""
    rows: list[list[object]] = [
        [*UCI],
        [536365, 6, datetime(2010, 12, 1, 8, 26), 2.55],
        ["C536379", -1, datetime(2010, 12, 1, 9, 41), 27.5],
        [None, None, None, None],
        ["", "", "", ""],
    ]
    read = read_published(write_xlsx(tmp_path / "Lines.xlsx", rows), LINES)
    pd.testing.assert_frame_equal(read.iloc[:3], EXPECTED)
    assert read.iloc[3:].isna().to_numpy().all()


@pytest.mark.parametrize(
    "times",
    [
        ("2010-12-01 08:26:00", "2010-12-01 09:41:00"),
        ("2010-12-01T08:26:00", "2010-12-01T09:41:00"),
        ("2010-12-01 08:26", "2010-12-01 09:41"),
        ("12/1/2010 8:26", "12/1/2010 9:41"),
    ],
)
def test_csv_in_the_spellings_of_the_known_copies(tmp_path: Path, times: tuple[str, str]) -> None:
    file = tmp_path / "lines.csv"
    file.write_text(
        "InvoiceNo,Extra,Quantity,InvoiceDate,UnitPrice\n"
        f"536365,x,6,{times[0]},2.55\nC536379,y,-1,{times[1]},27.5\n,z,,,\n"
    )
    pd.testing.assert_frame_equal(read_published(file, LINES), EXPECTED)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_csv_in_both_encodings(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "lines.csv"
    file.write_bytes(("invoice_no,quantity,invoice_date,unit_price\n£é,1,2010-12-01,1\n").encode(encoding))
    assert read_published(file, LINES)["invoice_no"].tolist() == ["£é"]


def test_parquet(tmp_path: Path) -> None:
    EXPECTED.to_parquet(tmp_path / "lines.parquet")
    pd.testing.assert_frame_equal(read_published(tmp_path / "lines.parquet", LINES), EXPECTED)


def test_text(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text(" 00001   3 20101201   11.77\r\n 00002 12 19981231    0.00\r\n")
    read = read_published(file, LINES)
    assert read["invoice_no"].tolist() == ["00001", "00002"]
    assert read["quantity"].tolist() == [3, 12]
    assert read["invoice_date"].tolist() == [pd.Timestamp("2010-12-01"), pd.Timestamp("1998-12-31")]
    assert read["unit_price"].tolist() == [11.77, 0.0]


@pytest.mark.parametrize("name", ["InvoiceNo", "invoiceno", "INVOICE_NO", " Invoice No "])
def test_columns_are_found_in_any_spelling(tmp_path: Path, name: str) -> None:
    EXPECTED.rename(columns={"invoice_no": name}).to_parquet(tmp_path / "lines.parquet")
    pd.testing.assert_frame_equal(read_published(tmp_path / "lines.parquet", LINES), EXPECTED)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)).map(lambda when: when.replace(microsecond=0)))
def test_every_second_survives_a_spreadsheet(tmp_path_factory: pytest.TempPathFactory, when: datetime) -> None:
    """A double of 40,000 days is exact to 0.6 microseconds, a second is 1.2e-5 days: rounding finds it again."""
    file = write_xlsx(tmp_path_factory.mktemp("x") / "l.xlsx", [UCI, ["a", 1, when, 1.0]])
    assert read_published(file, LINES)["invoice_date"].tolist() == [pd.Timestamp(when)]


@pytest.mark.parametrize("hair", ["07:59:59.999997", "08:00:00", "08:00:00.000003"])
def test_a_time_that_is_a_hair_off_is_the_second_that_was_meant(tmp_path: Path, hair: str) -> None:
    EXPECTED.assign(invoice_date=pd.Timestamp(f"2010-12-01 {hair}")).to_parquet(tmp_path / "lines.parquet")
    read = read_published(tmp_path / "lines.parquet", LINES)
    assert read["invoice_date"].tolist() == [pd.Timestamp("2010-12-01 08:00:00")] * 3


# What goes wrong ----------------------------------------------------------------------------------------------


def test_no_such_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        read_published("lines.csv", LINES)
    assert str(error.value) == (
        f"lines: lines.csv is not there (looked in {tmp_path}). Give the path of a file like 'Lines.xlsx', "
        "or no path: lines() downloads it."
    )


def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.csv").mkdir()
    with pytest.raises(ConfigError) as error:
        read_published("lines.csv", LINES)
    assert str(error.value) == (
        f"lines: lines.csv is a folder (looked in {tmp_path}). Give the path of a file like 'Lines.xlsx', "
        "or no path: lines() downloads it."
    )


@pytest.mark.parametrize("name", ["lines.json", "lines", "lines.csv.bak"])
def test_an_unknown_kind_of_file(name: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_published(name, LINES)
    assert str(error.value) == (
        f"lines: {name} ends in none of .xlsx, .csv, .parquet, .txt. Give the path of a file like 'Lines.xlsx'."
    )


def test_missing_columns(tmp_path: Path) -> None:
    file = tmp_path / "lines.csv"
    file.write_text("InvoiceNumber,Quantity,InvoiceDate\n1,2,3\n")
    with pytest.raises(SchemaError) as error:
        read_published(file, LINES)
    assert str(error.value) == (
        f"lines: {file} has no column 'invoice_no' and no 'unit_price'. Did you mean 'InvoiceNumber'? It has: "
        "'InvoiceNumber', 'Quantity', 'InvoiceDate'. Rename them, or give the published file, like 'Lines.xlsx'."
    )


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("1,six,2010-12-01,1", "'quantity' holds 'six' in row 2, not a whole number (1 such value)"),
        ("1,1.5,2010-12-01,1\n1,?,,", "'quantity' holds '1.5' in row 2, not a whole number (2 such values)"),
        ("1,6,2010-12-01,free", "'unit_price' holds 'free' in row 2, not a number (1 such value)"),
        (
            "1,6,1st December,1",
            "'invoice_date' holds '1st December' in row 2, not a time like '2010-12-01 08:26:00' (1 such value)",
        ),
    ],
)
def test_a_value_of_the_wrong_type(tmp_path: Path, lines: str, complaint: str) -> None:
    file = tmp_path / "lines.csv"
    file.write_text(f"invoice_no,quantity,invoice_date,unit_price\n0,1,2010-12-01,1\n{lines}\n")
    with pytest.raises(DataError) as error:
        read_published(file, LINES)
    assert str(error.value) == f"lines: {file}: column {complaint}. Correct it or leave the rows out."


def test_text_with_a_missing_column(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("00001 1 19970101 11.77\n00001 1 19970101\n")
    with pytest.raises(SchemaError) as error:
        read_published(file, LINES)
    assert str(error.value) == (
        f"lines: {file}: line 2 has 3 columns, not 4 (invoice_no, quantity, invoice_date, unit_price): "
        "'00001 1 19970101'. Give the published file, like 'Lines.xlsx'."
    )


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("lines.csv", b"", "CSV (No columns to parse from file)"),
        ("lines.csv", b"a,b\n1,2\n1,2,3,4\n", "CSV (Error tokenizing data. C error: Expected 2 fields"),
        ("lines.csv", b"a,b\n\x81,2\n", "CSV ("),
        ("lines.txt", b"\xff\xfe", "text ("),
        ("lines.parquet", b"PAR1", "Parquet ("),
        ("Lines.xlsx", b"no workbook", "an xlsx workbook ("),
        ("Lines.xlsx", b"", "an xlsx workbook ("),
    ],
)  # fmt: skip
def test_a_damaged_file(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_published(file, LINES)
    message = str(error.value)
    assert message.startswith(f"lines: {file} cannot be read as {reason}")  # the rest is the reader's own words
    assert message.endswith("). Give a whole copy, or no path: lines() downloads it.")
    assert "\n" not in message


def test_an_empty_text_file_is_an_empty_table(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("")
    assert read_published(tmp_path / "lines.txt", LINES).shape == (0, 4)


def test_xlsx_without_the_package_that_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    file = write_xlsx(tmp_path / "Lines.xlsx", [UCI])
    with pytest.raises(MissingExtraError) as error:
        read_published(file, LINES)
    assert str(error.value) == (
        "lines() of an xlsx file needs the package 'python-calamine'. Install it with: pip install \"crmml[excel]\""
    )
