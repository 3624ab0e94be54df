"""Tables as their authors publish them (xlsx, CSV, text, Parquet), as frames of known names and types."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crmml.errors import ConfigError, DataError, MissingExtraError, SchemaError, did_you_mean

# The spellings of times that the published copies use: ISO 8601, the American one, a compact date.
TIMES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%m/%d/%Y %H:%M", "%Y-%m-%d", "%Y%m%d")

Converter = Callable[["pd.Series[Any]"], "pd.Series[Any]"]


@dataclass(frozen=True)
class Published:
    """How a data set is published: who reads it, its columns with their types, and what its files end in.

    A column is found by its name here or by any spelling that differs only in case, spaces and underscores, such
    as `InvoiceNo` for `invoice_no`.
    """

    loader: str
    columns: dict[str, str]  # name -> "text", "whole", "number" or "time"
    suffixes: tuple[str, ...]
    example: str  # a file name, for messages


def read_published(path: str | Path, published: Published) -> pd.DataFrame:
    """The columns of `published` in the file `path`, in this order; missing values stay missing.

    Raises:
        ConfigError: there is no such file, or its name ends in none of the known suffixes.
        SchemaError: columns are missing.
        DataError: the file is damaged, or a value is not of its column's type.
        MissingExtraError: an xlsx file, and python-calamine is not installed.
    """
    file = Path(path).expanduser()
    suffix = file.suffix.lower()
    where = f"{published.loader}: {file}"
    if suffix not in published.suffixes:
        raise ConfigError(
            f"{where} ends in none of {', '.join(published.suffixes)}. "
            f"Give the path of a file like '{published.example}'."
        )
    if not file.is_file():
        raise ConfigError(
            f"{where} is {'a folder' if file.is_dir() else 'not there'} (looked in {Path.cwd()}). Give the path of "
            f"a file like '{published.example}', or no path: {published.loader}() downloads it."
        )
    raw = _raw(file, suffix, published)
    found = {_plain(str(name)): name for name in raw.columns}
    _check_columns(where, list(map(str, raw.columns)), set(found), published)
    columns = {}
    for name, kind in published.columns.items():
        column = found[_plain(name)]
        columns[name] = _converted(where, str(column), raw[column], kind)
    return pd.DataFrame(columns)


def _plain(name: str) -> str:
    return name.strip().casefold().replace("_", "").replace(" ", "")


def _check_columns(where: str, names: list[str], found: set[str], published: Published) -> None:
    missing = [name for name in published.columns if _plain(name) not in found]
    if missing:
        listed = ", ".join(map(repr, names[:20])) + (", ..." if len(names) > 20 else "")
        raise SchemaError(
            f"{where} has no column {' and no '.join(map(repr, missing))}.{did_you_mean(missing[0], names)} "
            f"It has: {listed}. Rename them, or give the published file, like '{published.example}'."
        )


def _raw(file: Path, suffix: str, published: Published) -> pd.DataFrame:
    readers: dict[str, Callable[[Path, Published], pd.DataFrame]] = {
        ".xlsx": _read_xlsx,
        ".parquet": _read_parquet,
        ".csv": _read_csv,
        ".txt": _read_text,
    }
    return readers[suffix](file, published)


def require_xlsx(loader: str) -> None:
    """Raise MissingExtraError where the package that reads xlsx files is not installed."""
    try:
        import python_calamine  # noqa: F401
    except ImportError:
        raise MissingExtraError(f"{loader}() of an xlsx file", "python-calamine", extra="excel") from None


def _read_xlsx(file: Path, published: Published) -> pd.DataFrame:
    """The first sheet; its first row is the header."""
    require_xlsx(published.loader)
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with CalamineWorkbook.from_path(str(file)) as book:
            rows = book.get_sheet_by_index(0).to_python()
    except (CalamineError, OSError, ValueError) as error:
        raise _damaged(file, published, "an xlsx workbook", error) from error
    header, body = (rows[0], rows[1:]) if rows else ([], [])
    frame = pd.DataFrame(body, columns=[str(name) for name in header], dtype=object)
    return frame.mask(frame == "")  # an empty cell is read as an empty text


def _read_parquet(file: Path, published: Published) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame: pd.DataFrame = pq.read_table(file).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise _damaged(file, published, "Parquet", error) from error
    return frame


def _read_csv(file: Path, published: Published) -> pd.DataFrame:
    """CSV in UTF-8 or, as the well-known copy of Online Retail is, in the Western Windows encoding."""
    try:
        for encoding in ("utf-8", "cp1252"):
            try:
                return pd.read_csv(
                    file, dtype=str, keep_default_na=False, na_values=[""], encoding=encoding, low_memory=False
                )
            except UnicodeDecodeError as problem:
                error: Exception = problem
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as problem:
        error = problem
    raise _damaged(file, published, "CSV", error) from error


def _read_text(file: Path, published: Published) -> pd.DataFrame:
    """Columns between spaces, without a header, in the order of `published`."""
    names = list(published.columns)
    try:
        lines = file.read_text("ascii").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        raise _damaged(file, published, "text", error) from error
    rows = [line.split() for line in lines]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise SchemaError(
                f"{published.loader}: {file}: line {number} has {len(row)} columns, not {len(names)} "
                f"({', '.join(names)}): {lines[number - 1][:80]!r}. Give the published file, like "
                f"'{published.example}'."
            )
    return pd.DataFrame(rows, columns=names, dtype=object)


def _damaged(file: Path, published: Published, kind: str, error: Exception) -> DataError:
    reason = str(error).strip().split("\n")[0]
    return DataError(
        f"{published.loader}: {file} cannot be read as {kind} ({reason}). "
        f"Give a whole copy, or no path: {published.loader}() downloads it."
    )


# Values -------------------------------------------------------------------------------------------------------


def _converted(where: str, column: str, values: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    """The values in their type; a value that is there but is not of the type is a DataError."""
    converters: dict[str, tuple[Converter, str]] = {
        "text": (_text, "a text"),
        "whole": (_whole, "a whole number"),
        "number": (_number, "a number"),
        "time": (_time, "a time like '2010-12-01 08:26:00'"),
    }
    convert, spoken = converters[kind]
    converted = convert(values)
    bad = np.flatnonzero((converted.isna() & values.notna()).to_numpy())
    if len(bad):
        raise DataError(
            f"{where}: column '{column}' holds {values.iloc[bad[0]]!r} in row {bad[0] + 1}, not {spoken} "
            f"({len(bad):,} such value{'s' if len(bad) > 1 else ''}). Correct it or leave the rows out."
        )
    return converted


def _text(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Texts; a spreadsheet keeps codes that look like numbers as numbers: 71053.0 is '71053'."""
    if isinstance(values.dtype, pd.StringDtype):
        return values
    texts = [
        None if missing else str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        for value, missing in zip(values, values.isna(), strict=True)
    ]
    return pd.Series(texts, index=values.index, dtype="str")


def _number(values: "pd.Series[Any]") -> "pd.Series[Any]":
    return pd.to_numeric(values, errors="coerce").astype("float64")


def _whole(values: "pd.Series[Any]") -> "pd.Series[Any]":
    numbers = _number(values)
    return numbers.where(numbers == numbers.round()).astype("Int64")


def _time(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Times without a zone, to the second: a spreadsheet keeps them as fractions of a day, a hair off."""
    if not pd.api.types.is_datetime64_any_dtype(values):
        values = _parsed(values)
    rounded: pd.Series[Any] = values.dt.round("s")
    return rounded.astype("datetime64[us]")


def _parsed(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """The parse by the format that leaves the fewest texts unread; datetime objects are taken as they are."""
    texts = values.map(lambda value: isinstance(value, str))
    if not texts.any():
        return pd.to_datetime(values, errors="coerce")
    return min(_attempts(values.astype("str")), key=lambda attempt: int(attempt.isna().sum()))


def _attempts(texts: "pd.Series[Any]") -> Iterable["pd.Series[Any]"]:
    for form in TIMES:
        attempt = pd.to_datetime(texts, format=form, errors="coerce")
        yield attempt
        if attempt.isna().equals(texts.isna()):
            return
