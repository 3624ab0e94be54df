"""The errors of crmml: each is a `ValueError` whose message says where, what and what to do."""

from collections.abc import Iterable

_LONGEST_SHAPE = 40


class CrmmlError(ValueError):
    """Base of every error that crmml raises on purpose."""


class ConfigError(CrmmlError):
    """A definition, a parameter or a configuration file is wrong."""


class SchemaError(CrmmlError):
    """A column is missing, has the wrong type or stands in the wrong place."""


class DataError(CrmmlError):
    """The columns are right, but values in them cannot be used."""


class LeakageError(CrmmlError):
    """The request would let the future into the training data, or the end of the log into the labels."""


class BundleError(CrmmlError):
    """A bundle is damaged, forged, or of a format that this version does not know."""


class MissingExtraError(CrmmlError, ImportError):
    """An optional dependency is not installed.

    >>> raise MissingExtraError("track()", "mlflow", extra="mlflow")
    Traceback (most recent call last):
        ...
    crmml.errors.MissingExtraError: track() needs the package 'mlflow'. Install it with: pip install "crmml[mlflow]"
    """

    def __init__(self, what: str, package: str, *, extra: str) -> None:
        super().__init__(f"{what} needs the package '{package}'. Install it with: pip install \"crmml[{extra}]\"")


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """The hint " Did you mean 'x'?" for the option nearest to `name`, or "" where none is near.

    >>> did_you_mean("windw", ["window", "channel"])
    " Did you mean 'window'?"
    >>> did_you_mean("zzz", ["window"])
    ''
    """
    from difflib import get_close_matches  # imported on the error path only

    names = list(options)
    folded = {option.casefold(): option for option in reversed(names)}
    near = get_close_matches(name, names, n=1, cutoff=0.6) or [
        folded[key] for key in get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    ]
    return f" Did you mean '{near[0]}'?" if near else ""


def shape_of(value: object) -> str:
    """How a value of a log looks, for a message: small letters become x, capitals X, digits 9.

    A message ends in log files and tickets, and a value of a log can be a name, a phone or an id of a customer. What is
    wrong with it shows in its shape.

    >>> shape_of("Ada L., +49 170 12"), shape_of("31.12.2024"), shape_of(1234)
    ("'Xxx X., +99 999 99'", "'99.99.9999'", '9999')
    """
    shape = "".join(map(_shape_of_character, str(value)[:_LONGEST_SHAPE]))
    return repr(shape) if isinstance(value, str) else shape


def _shape_of_character(character: str) -> str:
    if character.isnumeric():
        return "9"
    if character.isalpha():
        return "X" if character.isupper() else "x"
    return character if character.isascii() else "?"
