"""Read a state back, trusting nothing: each value is checked for type, shape and range before it is used."""

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from crmml.errors import BundleError


class StateReader:
    """Takes the keys of a state one by one; `finish` refuses what nobody asked for.

    >>> reader = StateReader({"n": 3}, "Model.set_state")
    >>> reader.integer("n", at_least=1)
    3
    >>> reader.finish()
    """

    def __init__(self, state: Mapping[str, Any], where: str) -> None:
        self._where = where
        if not isinstance(state, Mapping):
            raise BundleError(f"{where}: the state must be a dict as get_state() gives it, not {state!r}.")
        self._state = dict(state)

    def refuse(self, key: str, problem: str) -> NoReturn:
        """Raise the BundleError about one key."""
        raise BundleError(
            f"{self._where}: {key!r} {problem}. The state is damaged or of another model: "
            "load an intact copy, or fit the model again."
        )

    def has(self, key: str) -> bool:
        """Whether the state still holds the key: an older form may lack it."""
        return key in self._state

    def take(self, key: str) -> Any:
        """The value of a key, whatever it is."""
        if key not in self._state:
            self.refuse(key, "is missing")
        return self._state.pop(key)

    def finish(self) -> None:
        """Refuse keys that were not taken."""
        for key in self._state:
            self.refuse(key, "is not a key of this model")

    def integer(self, key: str, *, at_least: int) -> int:
        """A whole number, not a bool."""
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < at_least:
            self.refuse(key, f"must be a whole number, {at_least} or more, not {value!r}")
        return int(value)

    def number(self, key: str, *, at_least: float = -np.inf) -> float:
        """A finite number."""
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
            self.refuse(key, f"must be a number, not {value!r}")
        if not np.isfinite(value) or value < at_least:
            self.refuse(key, f"must be a finite number of at least {at_least}, not {value!r}")
        return float(value)

    def names(self, key: str, count: int) -> list[str] | None:
        """None, or `count` different texts."""
        value = self.take(key)
        if value is None:
            return None
        texts = value.tolist() if isinstance(value, np.ndarray) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            self.refuse(key, f"must be a list of texts or None, not {value!r}")
        if len(texts) != count or len(set(texts)) != count:
            self.refuse(key, f"must hold {count} different names, not {texts!r}")
        return texts

    def text(self, key: str) -> str:
        """A text."""
        value = self.take(key)
        if not isinstance(value, str):
            self.refuse(key, f"must be text, not {type(value).__name__}")
        return value

    def array(self, key: str, kinds: str, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
        """A copy of an array whose dtype is one of `kinds` ("f", "i", "U", "b") and whose shape fits.

        None in `shape` stands for any length.
        """
        value = self.take(key)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds:
            found = f"dtype {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
            self.refuse(key, f"must be an array of kind {' or '.join(kinds)}, not {found}")
        fits = value.ndim == len(shape) and all(
            wanted in (None, length) for wanted, length in zip(shape, value.shape, strict=True)
        )
        if not fits:
            self.refuse(key, f"has the shape {value.shape}, not {shape}".replace("None", "any"))
        return value.copy()

    def finite(self, key: str, shape: tuple[int | None, ...]) -> npt.NDArray[np.float64]:
        """An array of finite floats."""
        value = self.array(key, "f", shape)
        if not np.isfinite(value).all():
            self.refuse(key, "must hold finite numbers only")
        return value.astype(np.float64, copy=False)
