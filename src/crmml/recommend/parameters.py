"""Parameters of the recommenders, checked with messages that name them."""

from math import isfinite

import numpy as np

from crmml.errors import ConfigError


def check_number(where: str, name: str, value: object, such_as: float, above: bool = False) -> None:
    """Raise `ConfigError` unless the value is a finite number of at least 0 (`above`: above 0).

    >>> check_number("Model.fit", "power", -1, such_as=0.8)
    Traceback (most recent call last):
        ...
    crmml.errors.ConfigError: Model.fit: power is -1. Use a number of at least 0, such as 0.8.
    """
    if not is_number(value) or float(value) < 0 or (above and not value):  # type: ignore[arg-type]
        bound = "above" if above else "of at least"
        raise ConfigError(f"{where}: {name} is {value!r}. Use a number {bound} 0, such as {such_as}.")


def check_seed(where: str, seed: object) -> None:
    """Raise `ConfigError` unless the value can seed a generator of random numbers.

    >>> check_seed("Model.fit", None)
    Traceback (most recent call last):
        ...
    crmml.errors.ConfigError: Model.fit: random_state is None. Use a whole number of at least 0, such as 0.
    """
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise ConfigError(f"{where}: random_state is {seed!r}. Use a whole number of at least 0, such as 0.")


def is_number(value: object) -> bool:
    """Whether the value is a finite number.

    >>> is_number(2), is_number(True), is_number(float("nan"))
    (True, False, False)
    """
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and isfinite(float(value))
