"""Which column of a log plays which role."""

from dataclasses import dataclass, fields

from crmml.data.time import require_zone
from crmml.errors import ConfigError
from crmml.spec import Definition

# Roles in the order in which they are shown; `timezone` is not a column.
COLUMN_ROLES = (
    "customer_id",
    "timestamp",
    "event_type",
    "item_id",
    "amount",
    "quantity",
    "channel",
    "event_id",
    "recorded_at",
)
TIME_ROLES = ("timestamp", "recorded_at")
NUMERIC_ROLES = ("amount", "quantity")
ID_ROLES = ("customer_id", "item_id", "event_id")


@dataclass(frozen=True, repr=False)
class Constant(Definition):
    """One event type for a whole log: a pure purchase log needs no column for it.

    >>> from crmml import Constant
    >>> Constant("purchase")
    Constant('purchase')
    """

    value: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, str) or not self.value:
            raise ConfigError(
                f"Constant: value must be a non-empty text, not {self.value!r}. Use Constant('purchase')."
            )


@dataclass(frozen=True, repr=False, kw_only=True)
class Roles(Definition):
    """The mapping of a log's columns to roles, without the data: what a bundle keeps of a log.

    Each value is the user's column name. `event_type` may be a `Constant`. `timezone` is the IANA zone that
    timestamps without a zone are meant in.

    >>> from crmml import Roles
    >>> Roles(customer_id="user", timestamp="ts", timezone="UTC")
    Roles(customer_id='user', timestamp='ts', timezone='UTC')
    """

    customer_id: str
    timestamp: str
    event_type: str | Constant | None = None
    item_id: str | None = None
    amount: str | None = None
    quantity: str | None = None
    channel: str | None = None
    event_id: str | None = None
    recorded_at: str | None = None
    timezone: str | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name not in ("customer_id", "timestamp"):
                continue
            if field.name == "event_type" and isinstance(value, Constant):
                continue
            if not isinstance(value, str):
                raise ConfigError(
                    f"InteractionLog: {field.name} must be the name of a column, not {value!r}. "
                    f"Use {field.name}='{field.name}'."
                )
        self._check_used_once()
        if self.timezone is not None:
            require_zone(self.timezone, "InteractionLog: timezone")

    def _check_used_once(self) -> None:
        seen: dict[str, str] = {}
        for role, column in self.columns().items():
            if column in seen:
                raise ConfigError(
                    f"InteractionLog: column {column!r} is given two roles, {seen[column]} and {role}. "
                    f"Leave {role} out, or name another column."
                )
            seen[column] = role

    def columns(self) -> dict[str, str]:
        """Role -> the user's column, for the roles that are read from a column."""
        pairs = ((role, getattr(self, role)) for role in COLUMN_ROLES)
        return {role: column for role, column in pairs if isinstance(column, str)}

    def knows(self, role: str) -> bool:
        """Whether the log has this role, from a column or as a constant."""
        return role in COLUMN_ROLES and getattr(self, role) is not None
