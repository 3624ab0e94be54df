"""CSV files as a log: delimiter from the header, ids kept as written, timestamps checked before they are parsed.

DuckDB's detection is not used for the shape of the file: on ragged files it was seen to keep the last row only.
"""

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from sqlglot import exp

from crmml.data.engine import Engine
from crmml.data.roles import ID_ROLES, TIME_ROLES, Roles
from crmml.errors import DataError, SchemaError, shape_of

RAW = "log_text"
DELIMITERS = ",;\t|"
# A time of day followed by an offset: "12:30:00Z", "12:30+02", "12:30:00.5-0330".
OFFSET = r"\d\s*(Z|[+-]\d{2}(:?\d{2})?)$"
# Digits that are the same number when written again: no sign but a minus, no leading zero, within 64 bits.
CANONICAL_INTEGER = r"^(0|-?[1-9]\d{0,17})$"


def open_csv(
    engine: Engine,
    name: str,
    files: Sequence[Path],
    roles: Roles,
    check_columns: Callable[[Sequence[str], Roles], None],
) -> tuple[dict[str, str], dict[str, bool]]:
    """Let the CSV `files` be read as `name`: the columns with their types, and which times carry an offset."""
    header, delimiter = _header(files[0])
    for file in files[1:]:
        other, _ = _header(file)
        if other != header:
            raise SchemaError(
                f"InteractionLog: {file} has the columns {other}, but {files[0]} has {header}. "
                "Write the files with the same header."
            )
    check_columns(header, roles)
    for file in files:
        _check_shape(file, delimiter, len(header))
    mapped = roles.columns()
    times = [mapped[role] for role in TIME_ROLES if role in mapped]
    ids = [mapped[role] for role in ID_ROLES if role in mapped]
    engine.create_view(RAW, _scan(files, delimiter, as_text=[*times, *ids]))
    integers = {column for column in ids if _are_integers(engine, column)}
    engine.create_view(name, _typed(engine, integers))
    with_offset = {role: _has_offset(engine, mapped[role]) for role in TIME_ROLES if role in mapped}
    return engine.columns(name), with_offset


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    """The text of a file, plain or gzipped; what is not UTF-8 is an error that says where."""
    opener = gzip.open if file.name.endswith(".gz") else open
    try:
        with opener(file, "rt", encoding="utf-8-sig", newline="") as stream:
            yield cast(TextIO, stream)
    except UnicodeDecodeError as error:
        raise DataError(
            f"InteractionLog: {file} is not UTF-8 (byte {error.object[error.start]:#04x}). "
            "Write it again with encoding='utf-8'."
        ) from None
    except (csv.Error, gzip.BadGzipFile, EOFError) as error:
        raise DataError(f"InteractionLog: {file} cannot be read as CSV: {error}. Write it again.") from None


def _header(file: Path) -> tuple[list[str], str]:
    with _opened(file) as stream:
        line = stream.readline()
        delimiter = max(DELIMITERS, key=line.count)
        header = next(csv.reader([line], delimiter=delimiter), [])
    if not line.strip():
        raise DataError(f"InteractionLog: {file} has no header line. Write the column names into the first line.")
    return header, delimiter


def _check_shape(file: Path, delimiter: str, width: int) -> None:
    """Every line has as many fields as the header, and there is one: a short line is never filled up silently."""
    rows = 0
    with _opened(file) as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        next(reader)
        for row in reader:
            # A blank line between two rows, or at the end, is no row.
            if row and len(row) != width:
                raise DataError(
                    f"InteractionLog: {file}, line {reader.line_num}, has {len(row)} fields, but the header has "
                    f"{width}. Mend the line; quote a field that contains {delimiter!r}."
                )
            rows += bool(row)
    if rows == 0:
        raise DataError(f"InteractionLog: {file} has a header but no rows. Give a file with at least one event.")


def _scan(files: Sequence[Path], delimiter: str, as_text: Sequence[str]) -> exp.Select:
    options: dict[str, exp.Expr] = {
        "delim": exp.Literal.string(delimiter),
        "quote": exp.Literal.string('"'),
        "escape": exp.Literal.string('"'),
        "header": exp.true(),
        "skip": exp.Literal.number(0),
        "strict_mode": exp.true(),
        "null_padding": exp.false(),
        "sample_size": exp.Literal.number(-1),
        "types": exp.Struct(
            expressions=[
                exp.PropertyEQ(this=exp.Literal.string(column), expression=exp.Literal.string("VARCHAR"))
                for column in as_text
            ]
        ),
    }
    arguments = [exp.PropertyEQ(this=exp.to_identifier(key), expression=value) for key, value in options.items()]
    paths = exp.array(*(exp.Literal.string(str(file)) for file in files))
    return exp.select("*").from_(exp.Anonymous(this="read_csv", expressions=[paths, *arguments]))


def _are_integers(engine: Engine, column: str) -> bool:
    """Whether every id of a text column is an integer that keeps its spelling ("007" does not)."""
    text = exp.column(column, quoted=True)
    matches = exp.Anonymous(this="regexp_matches", expressions=[text, exp.Literal.string(CANONICAL_INTEGER)])
    query = exp.select(exp.alias_(exp.Anonymous(this="bool_and", expressions=[matches]), "integers")).from_(RAW)
    return bool(engine.row(query)["integers"])


def _typed(engine: Engine, integers: set[str]) -> exp.Select:
    columns = []
    for name in engine.columns(RAW):
        column = exp.column(name, quoted=True)
        value = exp.cast(column, "BIGINT") if name in integers else column
        columns.append(exp.alias_(value, name, quoted=True))
    return exp.select(*columns).from_(RAW)


def _has_offset(engine: Engine, column: str) -> bool:
    """Whether the times of a text column carry an offset; all of them must, or none."""
    text = exp.column(column, quoted=True)
    offset = exp.Anonymous(this="regexp_matches", expressions=[text, exp.Literal.string(OFFSET)])
    # "2024-01-05" ends in what looks like an offset, "-05": a time of day must stand before it.
    zoned = exp.and_(offset, exp.Anonymous(this="contains", expressions=[text, exp.Literal.string(":")]))
    bad = exp.and_(
        exp.Not(this=exp.Is(this=text, expression=exp.null())),
        exp.Is(this=exp.TryCast(this=text, to=exp.DataType.build("TIMESTAMPTZ")), expression=exp.null()),
    )
    facts = engine.row(
        exp.select(
            exp.alias_(_first_where(text, zoned), "zoned"),
            exp.alias_(_first_where(text, exp.Not(this=exp.paren(zoned))), "plain"),
            exp.alias_(_first_where(text, bad), "bad"),
        ).from_(RAW)
    )
    if facts["bad"] is not None:
        raise SchemaError(
            f"InteractionLog: column {column!r} holds {shape_of(facts['bad'])}, which is not a timestamp. "
            "Write timestamps like '2024-01-31 12:30:00' or '2024-01-31T12:30:00+01:00'."
        )
    if facts["zoned"] is not None and facts["plain"] is not None:
        raise SchemaError(
            f"InteractionLog: column {column!r} mixes timestamps with a zone ({facts['zoned']}) and without one "
            f"({facts['plain']}). Write all of them with an offset, like '2024-01-31T12:30:00+00:00'."
        )
    return facts["zoned"] is not None


def _first_where(text: exp.Expr, condition: exp.Expr) -> exp.Expr:
    """The least text for which `condition` holds: one example, always the same one."""
    return exp.Min(this=exp.Case(ifs=[exp.If(this=condition.copy(), true=text.copy())]))
