"""`InteractionLog`: raw interactions, with the role that each column plays."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
from sqlglot import exp

from crmml.data.cleaning import CleaningStep, KeepBetween
from crmml.data.column_types import check_types, is_number, is_text
from crmml.data.facts import Facts, read_facts, readable, require_usable
from crmml.data.role_values import value_of
from crmml.data.roles import COLUMN_ROLES, TIME_ROLES, Constant, Roles
from crmml.data.sources import LOG, Opened, open_source
from crmml.data.sql import name_of, named
from crmml.data.steps import EVENTS, Step, chain
from crmml.data.time import AsOf, moment_of, spoken
from crmml.errors import ConfigError, SchemaError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from crmml.data.check import CheckReport


class InteractionLog:
    """Raw interactions of customers, read from files or frames, with the role that each column plays.

    The log is not copied and not changed: it is read anew by every table that is built from it. Every column
    without a role is an attribute under its own name. Inside, all time is UTC, in microseconds.

    Args:
        source: path, folder or glob of Parquet or CSV files (or a list of them), a pandas or polars frame, an
            Arrow table, or a DuckDB relation.
        customer_id: column with the customer's id (integer or text).
        timestamp: column with the time at which the event happened (timestamp or date).
        event_type: column with the kind of event, or `Constant("purchase")` for a log of one kind.
        item_id: column with the product, page or content.
        amount: column with the value of the event; returns are negative.
        quantity: column with the number of pieces.
        channel: column with the place: web, app, shop, phone, ...
        event_id: column that identifies the event.
        recorded_at: column with the time at which the event became known; an event is not seen as of a cutoff
            before it.
        timezone: IANA zone in which timestamps without a zone are meant; required where there are such.
        threads: threads that a query may use; all cores by default.
        observed_until: the moment up to which the log is complete; by default the time of the last event. Labels
            may reach up to it.
        memory_limit: memory that a query may use, such as "2GB", before it spills to disk.

    Raises:
        ConfigError: nothing can be read from `source`, or a role or zone is wrong.
        SchemaError: a column is missing or of a type that its role cannot have.
        DataError: a file is damaged.

    >>> import crmml as cm
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"user": [1, 1, 2], "ts": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-01-15"])})
    >>> log = cm.InteractionLog(frame, customer_id="user", timestamp="ts", timezone="UTC")
    >>> log
    InteractionLog(3 rows in memory, customer_id='user', timestamp='ts', timezone='UTC')
    """

    def __init__(
        self,
        source: Any,
        *,
        customer_id: str,
        timestamp: str,
        event_type: str | Constant | None = None,
        item_id: str | None = None,
        amount: str | None = None,
        quantity: str | None = None,
        channel: str | None = None,
        event_id: str | None = None,
        recorded_at: str | None = None,
        timezone: str | None = None,
        observed_until: AsOf | None = None,
        threads: int | None = None,
        memory_limit: str | None = None,
    ) -> None:
        roles = Roles(
            customer_id=customer_id,
            timestamp=timestamp,
            event_type=event_type,
            item_id=item_id,
            amount=amount,
            quantity=quantity,
            channel=channel,
            event_id=event_id,
            recorded_at=recorded_at,
            timezone=timezone,
        )
        until = None if observed_until is None else moment_of(observed_until, "observed_until")
        self._set(roles, open_source(source, roles, threads=threads, memory_limit=memory_limit), (), until)

    @classmethod
    def from_roles(
        cls,
        source: Any,
        roles: Roles,
        *,
        observed_until: AsOf | None = None,
        threads: int | None = None,
        memory_limit: str | None = None,
    ) -> Self:
        """A log of `source` with an existing mapping, such as the one that a bundle keeps."""
        return cls.of(open_source(source, roles, threads=threads, memory_limit=memory_limit), roles, (), observed_until)

    @classmethod
    def of(
        cls, opened: Opened, roles: Roles, cleaning: tuple[CleaningStep, ...] = (), observed_until: AsOf | None = None
    ) -> Self:
        """A log of a source that is open already."""
        log = cls.__new__(cls)
        log._set(
            roles, opened, cleaning, None if observed_until is None else moment_of(observed_until, "observed_until")
        )
        return log

    def _set(
        self,
        roles: Roles,
        opened: Opened,
        cleaning: tuple[CleaningStep, ...],
        observed_until: "pd.Timestamp | None",
    ) -> None:
        self.roles = roles
        self.cleaning = cleaning
        self.observed_until = observed_until
        self._opened = opened
        check_types(roles, opened)
        for step in cleaning:
            step.check(self)

    @property
    def _pending(self) -> tuple[CleaningStep, ...]:
        """The cleaning steps that a query has to apply: all, but for those that were applied when it was prepared."""
        prepared = self._opened.prepared
        return self.cleaning if prepared is None else self.cleaning[len(prepared.cleaning) :]

    # What the log has -------------------------------------------------------------------------------------

    @property
    def engine(self) -> Any:
        """The engine that holds the log as a table."""
        return self._opened.engine

    @property
    def source(self) -> tuple[pa.Table | None, tuple[Path, ...]]:
        """What the log is read from: a table in memory, or files."""
        return self._opened.table, self.engine.files

    @property
    def arrow_source(self) -> pa.Table | tuple[Path, ...] | None:
        """What Arrow reads the log from, as the engine does: a table in memory, or Parquet files; None for others."""
        return self._opened.table if self._opened.table is not None else self._opened.parquet or None

    @property
    def bucket_files(self) -> tuple[Path, ...] | None:
        """The files of a prepared log, each with all events of its customers; None where there are no such files.

        There are none either after a cleaning step that compares the events of different customers.
        """
        prepared = self._opened.prepared
        if prepared is None or not all(step.by_customer for step in self._pending):
            return None
        return prepared.files

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """The columns without a role, under their own names."""
        hidden = {*self.roles.columns().values(), *COLUMN_ROLES}
        # The engine does not tell upper from lower case: beside the role it would read one column for the other.
        played = {role for role in COLUMN_ROLES if self.roles.knows(role)}
        return tuple(name for name in self._opened.columns if name not in hidden and name.casefold() not in played)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a definition may use: the roles that the log has, then its attributes."""
        return tuple(role for role in COLUMN_ROLES if self.roles.knows(role)) + self.attributes

    def require(self, name: str, where: str) -> None:
        """Raise a SchemaError, beginning with `where`, if the log has no role or attribute `name`."""
        if name in self.names:
            return
        if name in COLUMN_ROLES:
            raise SchemaError(
                f"{where}: the log has no {name}. Say which column plays it: InteractionLog(..., {name}="
                f"{name if name in self._opened.columns else 'column'!r})."
            )
        listed = ", ".join(repr(known) for known in self.names)
        raise SchemaError(f"{where}: the log has no {name!r}.{did_you_mean(name, self.names)} It has: {listed}.")

    def kind(self, name: str) -> str:
        """ "number", "text", "time" or another type's name: what the values of a role or attribute are."""
        if name == "event_type" and isinstance(self.roles.event_type, Constant):
            return "text"
        kind = self._opened.columns[self._column(name)]
        if is_number(kind):
            return "number"
        if name in TIME_ROLES or kind.startswith(("TIMESTAMP", "DATE")):
            return "time"
        return "text" if is_text(kind) else kind.lower()

    def _column(self, name: str) -> str:
        return self.roles.columns().get(name, name)

    # The first steps of every SQL text --------------------------------------------------------------------

    def steps(self, names: Iterable[str]) -> list[Step]:
        """The log in its roles, as named steps: the last one has the columns `names`, time in UTC.

        Cleaning steps come between; what they need is read as well.
        """
        wanted = set(names)
        needed_by_cleaning = {name for step in self._pending for name in step.needs(self.names)}
        # In the order of the log, whatever is asked for: a cleaning step may put rows in order by them.
        needed = [name for name in self.names if name in wanted | needed_by_cleaning]
        selected = [named(self._value(name), name) for name in needed]
        if not self._pending:
            return [Step(EVENTS, exp.select(*selected).from_(LOG))]
        steps = [Step("raw_events", exp.select(*selected).from_(LOG))]
        for number, cleaning in enumerate(self._pending, start=1):
            name = EVENTS if number == len(self._pending) else f"clean_{number}"
            steps.append(Step(name, cleaning.query(steps[-1].name, needed)))
        return steps

    def _value(self, name: str) -> exp.Expr:
        return value_of(name, self._column(name), self.roles, self._opened)

    # What a person asks of a log --------------------------------------------------------------------------

    @cached_property
    def facts(self) -> Facts:
        """Rows, first and last event, event types, missing values: read once, kept."""
        prepared = self._opened.prepared
        return prepared.facts if prepared is not None and not self._pending else read_facts(self)

    @property
    def complete_until(self) -> "pd.Timestamp":
        """The moment up to which nothing is missing: `observed_until`, or the time of the last event (UTC).

        A cleaning step that cuts the end off the log cuts it off here too.
        """
        last = self.require_usable().last
        end = last if self.observed_until is None else self.observed_until
        cuts = (step.maximum for step in self.cleaning if isinstance(step, KeepBetween) and step.column == "timestamp")
        return min([end, *(moment_of(cut, "maximum") for cut in cuts if isinstance(cut, str))])

    def require_usable(self) -> Facts:
        """The facts, after checking that tables can be built: rows, ids and times there and possible.

        Raises:
            DataError: the log is empty, or has missing ids, missing times, or times that cannot be.
        """
        return require_usable(self)

    def events(self, names: Sequence[str] | None = None) -> pa.Table:
        """The cleaned events as an Arrow table with the columns `names` (all by default), time in UTC."""
        for name in names or ():
            self.require(name, "InteractionLog.events")
        if names is not None and not names:
            raise ConfigError("InteractionLog.events: the list of columns is empty. Leave it out for all of them.")
        steps = self.steps(self.names if names is None else names)
        query = exp.select(*(name_of(name) for name in (names or self.names))).from_(EVENTS)
        with readable():
            events: pa.Table = self.engine.arrow(chain(steps, query))
        return events

    def check(
        self,
        *,
        horizon: str = "90d",
        window: str = "180d",
        event_type: str | None = None,
    ) -> "CheckReport":
        """A readiness report: what the log holds, and whether it is ready for churn, value, recommendations.

        It never fails on bad data: it describes it and says what to do.

        Args:
            horizon: how far ahead the labels will look.
            window: how far back activity counts.
            event_type: the event that counts as activity; "purchase" where the log has it.
        """
        from crmml.data.check import check_log

        return check_log(self, horizon=horizon, window=window, event_type=event_type)

    def clean(self, *steps: CleaningStep) -> "InteractionLog":
        """The same log after `steps`, in this order; `cleaning_report()` shows what each one dropped."""
        for step in steps:
            if not isinstance(step, CleaningStep):
                raise ConfigError(
                    f"InteractionLog.clean: {step!r} is not a cleaning step. "
                    "Use DropMissing('customer_id'), DropDuplicates(), Keep(...), Drop(...) or KeepBetween(...)."
                )
        return InteractionLog.of(self._opened, self.roles, (*self.cleaning, *steps), self.observed_until)

    def prepare(
        self, path: str | Path, *, buckets: int | None = None, progress: bool | None = None
    ) -> "InteractionLog":
        """Write the log once, cleaned, by customer and time, as Parquet files in the folder `path`; open it there.

        Tables are built from a prepared log customer by customer: in less time, and in memory that does not grow
        with the log. Killed at any moment, a second call goes on; where all is done already, it opens the folder.

        Args:
            path: the folder; made where it is absent.
            buckets: into how many files the customers are divided; by default so many that each has about three
                million events. More files take less memory.
            progress: whether to show a bar; by default where standard error is a terminal.

        Returns:
            The same events as a log whose columns are called as their roles; `open_prepared(path)` opens it later.

        Raises:
            ConfigError: `path` holds something else: another log, or this one with other roles or cleaning.
            SchemaError: a column is of a type that Parquet cannot keep.
            DataError: the log has values that cannot be used; another process is writing there; the disk failed.

        >>> import tempfile, crmml as cm
        >>> log = cm.simulate_log(50, seed=1).log
        >>> prepared = log.prepare(tempfile.mkdtemp(), buckets=4)
        >>> [file.name for file in prepared.bucket_files or ()][:2]
        ['bucket-0000.parquet', 'bucket-0001.parquet']
        >>> features, as_of = [cm.Recency(), cm.Sum("amount", window="90d")], "2024-06-01"
        >>> cm.build_features(prepared, features, as_of).equals(cm.build_features(log, features, as_of))
        True
        """
        from crmml.data.prepared import prepare_log

        return prepare_log(self, path, buckets=buckets, progress=progress)

    def cleaning_report(self) -> "pd.DataFrame":
        """One row per cleaning step: `step`, `rows_before`, `rows_dropped`, `rows_after`.

        Of a prepared log only the steps that came after: the events that the others dropped are not in it.
        """
        import pandas as pd

        steps = self.steps(self.names)
        counts = [
            exp.alias_(exp.select(exp.Count(this=exp.Star())).from_(step.name).subquery(), f"n{number}")
            for number, step in enumerate(steps)
        ]
        row = self.engine.row(chain(steps, exp.select(*counts)))
        left = [row[f"n{number}"] for number in range(len(steps))]
        return pd.DataFrame(
            {
                "step": [repr(step) for step in self._pending],
                "rows_before": left[:-1],
                "rows_dropped": [before - after for before, after in pairwise(left)],
                "rows_after": left[1:],
            }
        )

    def __deepcopy__(self, memo: object) -> Self:
        return self  # nothing in it changes, and its connection cannot be copied

    def __repr__(self) -> str:
        if self._opened.prepared is not None:
            return f"open_prepared({str(self._opened.prepared.folder)!r}){_cleaned(self._pending)}"
        mapping = repr(self.roles).removeprefix("Roles(").removesuffix(")")
        until = "" if self.observed_until is None else f", observed_until={spoken(self.observed_until)!r}"
        return f"InteractionLog({self._opened.description}, {mapping}{until}){_cleaned(self.cleaning)}"


def _cleaned(steps: Sequence[CleaningStep]) -> str:
    return f".clean({', '.join(map(repr, steps))})" if steps else ""
