"""Definitions: frozen values that print as the code that makes them and compare by value."""

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from typing import Any, cast

from crmml.errors import ConfigError


class FrozenMapping(Mapping[str, Any]):
    """A hashable mapping, in the order of its keys; equal to the `dict` with the same content.

    >>> FrozenMapping({"b": 1, "a": ["x"]})
    {'a': ['x'], 'b': 1}
    """

    __slots__ = ("_items",)

    def __init__(self, content: Mapping[str, Any]) -> None:
        # Sorted, so that equal mappings also print and hash alike.
        self._items = {key: freeze(content[key]) for key in sorted(text_key(key) for key in content)}

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        try:
            return self._items == FrozenMapping(other)._items
        except ConfigError:
            return False

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{key!r}: {_code(value)}' for key, value in self._items.items())}}}"


def freeze(value: Any) -> Any:
    """`value` as something hashable: lists become tuples, mappings `FrozenMapping`, numpy scalars Python's.

    >>> freeze({"plan": ["gold", "free"]})
    {'plan': ['gold', 'free']}
    >>> freeze([1, [2]])
    (1, (2,))
    """
    if isinstance(value, FrozenMapping):
        return value
    if isinstance(value, Mapping):
        return FrozenMapping(value)
    if isinstance(value, list | tuple):
        return tuple(freeze(item) for item in value)
    return python_scalar(value)


class Definition:
    """The base of every definition: a mix-in for `@dataclass(frozen=True, repr=False)` classes.

    A class that overrides `__post_init__` calls `super().__post_init__()` first: it makes lists and mappings
    immutable.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, repr=False)
    ... class Total(Definition):
    ...     column: str
    ...     window: str | None = None
    ...     where: Mapping[str, object] | None = None
    >>> Total("amount", window="90d", where={"plan": ["gold", "free"]})
    Total('amount', window='90d', where={'plan': ['gold', 'free']})
    """

    def __post_init__(self) -> None:
        for field in _fields(type(self)):
            # The way a frozen dataclass sets a field of its own.
            object.__setattr__(self, field.name, freeze(getattr(self, field.name)))

    def __repr__(self) -> str:
        required = [field for field in _fields(type(self)) if not _has_default(field)]
        positional = {field.name for field in required if not field.kw_only}
        arguments = [
            _code(value) if name in positional else f"{name}={_code(value)}"
            for name, value in non_defaults(self).items()
        ]
        return f"{type(self).__name__}({', '.join(arguments)})"


def non_defaults(value: Any) -> dict[str, Any]:
    """The arguments of a definition, or of an estimator, that differ from the defaults."""
    if isinstance(value, Definition):
        return {
            field.name: getattr(value, field.name)
            for field in _fields(type(value))
            if not (_has_default(field) and _same(getattr(value, field.name), freeze(_default(field))))
        }
    parameters = inspect.signature(type(value)).parameters
    given = value.get_params(deep=False)
    return {key: given[key] for key, p in parameters.items() if not _same(given[key], p.default)}


def _same(value: Any, default: Any) -> bool:
    # 1, 1.0 and True are equal in Python, but not the same argument.
    return type(value) is type(default) and bool(value == default)


def _fields(cls: type) -> list["dataclasses.Field[Any]"]:
    # In the order of the constructor: inherited keyword-only fields come after positional ones.
    fields = (field for field in dataclasses.fields(cast(Any, cls)) if field.init)
    return sorted(fields, key=lambda field: bool(field.kw_only))


def _has_default(field: "dataclasses.Field[Any]") -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _default(field: "dataclasses.Field[Any]") -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def python_scalar(value: Any) -> Any:
    """A numpy scalar as Python's own, without importing numpy; everything else unchanged."""
    is_numpy_scalar = type(value).__module__ == "numpy" and getattr(value, "shape", None) == ()
    return value.item() if is_numpy_scalar else value


def text_key(key: Any) -> str:
    """`key`, which has to be a text: what a mapping in a definition is keyed by."""
    if not isinstance(key, str):
        raise ConfigError(f"the key {key!r} is no text. Use a text such as '{key}'.")
    return key


def _code(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_code(item) for item in value)}]"
    return repr(value)
