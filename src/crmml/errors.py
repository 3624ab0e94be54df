"""The errors of crmml: each is a `ValueError` whose message says where, what and what to do."""

from collections.abc import Iterable


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
