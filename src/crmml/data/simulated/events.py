"""Events as columns of numbers, before they get names and times."""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

KINDS = ("visit", "view", "cart", "purchase", "return", "service", "survey")


@dataclass(frozen=True, eq=False, kw_only=True)
class Events:
    """Columns of equal length; what an event does not have is -1, a quantity 0, an amount NaN."""

    customer: npt.NDArray[np.int32]
    time: npt.NDArray[np.float64]  # days since the start of the log
    kind: npt.NDArray[np.int8]  # index into KINDS
    item: npt.NDArray[np.int16]
    channel: npt.NDArray[np.int8]
    quantity: npt.NDArray[np.int16]
    amount: npt.NDArray[np.float64]
    order: npt.NDArray[np.int64]
    rating: npt.NDArray[np.int8]

    @classmethod
    def of(cls, kind: str, customer: npt.NDArray[Any], time: npt.NDArray[Any], **columns: Any) -> Self:
        """Events of one kind; columns that are not given say "none"."""
        size = len(customer)

        def column(name: str, none: float, dtype: type) -> npt.NDArray[Any]:
            return np.broadcast_to(np.asarray(columns.pop(name, none), dtype=dtype), size)

        made = cls(
            customer=customer.astype(np.int32),
            time=time,
            kind=np.full(size, KINDS.index(kind), dtype=np.int8),
            item=column("item", -1, np.int16),
            channel=column("channel", -1, np.int8),
            quantity=column("quantity", 0, np.int16),
            amount=column("amount", np.nan, np.float64),
            order=column("order", -1, np.int64),
            rating=column("rating", -1, np.int8),
        )
        if columns:
            raise TypeError(f"Events has no column {sorted(columns)}")
        return made

    @classmethod
    def concat(cls, parts: list[Self]) -> Self:
        """All events of `parts`, in their order."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def where(self, keep: npt.NDArray[np.bool_]) -> Self:
        """The events for which `keep` is true."""
        return type(self)(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})
