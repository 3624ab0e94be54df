"""The only serializer: definition <-> plain data <-> YAML and JSON.

A configuration is made of the constructors' names and their keyword arguments. Only what stands in crmml's
public table can be built from data.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from crmml.definition import Definition, FrozenMapping, freeze, non_defaults, python_scalar, text_key
from crmml.errors import ConfigError, CrmmlError, MissingExtraError, did_you_mean
from crmml.yaml_text import load_yaml, write_yaml

__all__ = [
    "Definition",
    "FrozenMapping",
    "completed",
    "dump_yaml",
    "freeze",
    "from_data",
    "load_config",
    "load_yaml",
    "read_config",
    "to_data",
]

# What a configuration can make besides definitions and estimators.
_OTHER_CONSTRUCTORS = ("InteractionLog", "cutoffs", "open_prepared")
# A mapping with one key of this form reads as a construction; {"dict": {...}} says that it is plain.
_CLASS_LIKE = re.compile(r"_*[A-Z]\w*")
_PLAIN = "dict"


def to_data(value: Any) -> Any:
    """`value` as plain data: mappings, lists, texts, numbers, booleans, None.

    A definition or an estimator becomes `{"Name": {its arguments that are not the default}}`, or
    `{"Name": value}` where its first argument, a plain value, is the only one. Dates become ISO texts.

    Raises:
        ConfigError: `value` is, or holds, something that is not in crmml's public table.

    >>> import crmml as cm
    >>> cm.to_data([cm.Constant("purchase"), cm.Keep("channel", values=["web"])])
    [{'Constant': 'purchase'}, {'Keep': {'column': 'channel', 'values': ['web']}}]
    """
    value = python_scalar(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, date):  # also datetime and pandas' Timestamp
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [to_data(item) for item in value]
    if isinstance(value, Mapping):
        return _plain_mapping({text_key(key): to_data(item) for key, item in value.items()})
    return _construction(value)


def from_data(data: Any, where: str = "") -> Any:
    """The value that plain `data` describes: the inverse of `to_data`.

    A mapping with one capitalised key is a construction: the key is a class of crmml's public table, its
    value the keyword arguments, or else the first argument. The functions that can stand there, with
    keyword arguments, are `cutoffs` and `open_prepared`. `{"dict": {...}}` is a plain mapping whatever its keys are.

    Args:
        data: mappings, lists, texts, numbers, booleans, None.
        where: what messages call the data, such as the name of its file.

    Raises:
        ConfigError: an unknown class or parameter, or one that the class itself refuses.

    >>> import crmml as cm
    >>> cm.from_data({"Keep": {"column": "channel", "values": ["web"]}})
    Keep('channel', values=['web'])
    >>> cm.from_data({"Keep": {"colum": "channel"}}, where="job.yaml")
    Traceback (most recent call last):
        ...
    crmml.errors.ConfigError: job.yaml: Keep: no parameter 'colum'. Did you mean 'column'?
    """
    return _build(data, _Place(where, ""))


def completed(data: Any, where: str = "") -> Any:
    """Plain `data` with every argument of every construction written out, also the defaults.

    >>> import crmml as cm
    >>> from crmml.spec import completed
    >>> completed({"Keep": "channel"})
    {'Keep': {'column': 'channel', 'values': None, 'pattern': None}}
    """
    return _complete(data, _Place(where, ""))


def dump_yaml(value: Any) -> str:
    """`to_data(value)` as YAML text.

    >>> import crmml as cm
    >>> print(cm.dump_yaml(cm.Keep("channel", values=["web"])), end="")
    Keep:
      column: channel
      values: [web]
    """
    return write_yaml(to_data(value))


def load_config(path: str | Path) -> dict[str, Any]:
    """The keyword arguments of a job, built from the YAML file at `path`.

    Paths inside the file are relative to the working directory, as they are in Python.

    Raises:
        ConfigError: the file is missing or is no mapping of keywords, or something in it cannot be built.

    >>> import tempfile, pathlib, crmml as cm
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "job.yaml"
    >>> _ = path.write_text("steps: [{DropMissing: customer_id}]")
    >>> cm.load_config(path)
    {'steps': [DropMissing('customer_id')]}
    """
    place = _Place(str(path), "")
    return {key: _build(value, place.inside(key)) for key, value in read_config(path).items()}


def read_config(path: str | Path) -> dict[str, Any]:
    """The plain data of the YAML file at `path`, before anything is built from it."""
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8. Save the file as UTF-8.") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{path}: cannot be read: {reason}. Give the path of a YAML file.") from None
    data = load_yaml(text, str(path))
    if not isinstance(data, dict) or not data:
        found = "is empty" if data is None or data == {} else f"holds a {type(data).__name__}"
        raise ConfigError(f"{path}: {found}. Write keyword: value, one per line, such as `features: rfm`.")
    return data


# Parameter -> the data of its value, and where that stands.
_Arguments = dict[str, tuple[Any, "_Place"]]


class _Place(NamedTuple):
    """Where in the data we are, for messages: `configs/churn.yaml: features[1].Count`."""

    root: str
    path: str

    def inside(self, name: str) -> "_Place":
        return _Place(self.root, f"{self.path}.{name}" if self.path else name)

    def item(self, index: int) -> "_Place":
        return _Place(self.root, f"{self.path}[{index}]")

    def __str__(self) -> str:
        return ": ".join(part for part in self if part) or "<data>"


def _build(data: Any, place: _Place) -> Any:
    if isinstance(data, list | tuple):
        return [_build(item, place.item(index)) for index, item in enumerate(data)]
    if not isinstance(data, Mapping):
        return data
    name = _constructor_name(data, place)
    if name is None:
        return {key: _build(item, place.inside(key)) for key, item in _content(data).items()}
    place = place.inside(name)
    make = _constructor(name)
    arguments = _arguments(name, make, data[name], place)
    built = {key: _build(item, at) for key, (item, at) in arguments.items()}
    return _call(name, make, built, place)


def _complete(data: Any, place: _Place) -> Any:
    if isinstance(data, list | tuple):
        return [_complete(item, place.item(index)) for index, item in enumerate(data)]
    if not isinstance(data, Mapping):
        return data
    name = _constructor_name(data, place)
    if name is None:
        content = {key: _complete(item, place.inside(key)) for key, item in _content(data).items()}
        return _plain_mapping(content)
    make = _constructor(name)
    given = _arguments(name, make, data[name], place.inside(name))
    arguments = {}
    for key, parameter in inspect.signature(make).parameters.items():
        if key in given:
            arguments[key] = _complete(*given[key])
        elif parameter.default is not parameter.empty:
            default = to_data(parameter.default)
            arguments[key] = _complete(default, place.inside(name).inside(key))
    return {name: arguments}


def _constructor_name(data: Mapping[str, Any], place: _Place) -> str | None:
    """The constructor that `data` names, or None where it is a plain mapping."""
    for key in data:
        if not isinstance(key, str):
            raise ConfigError(f"{place}: the key {key!r} is no text. Use a text such as '{key}'.")
    if len(data) != 1:
        return None
    (name, value), *_ = data.items()
    if _constructor(name) is not None and (name[0].isupper() or isinstance(value, Mapping)):
        return name
    has_arguments = value is None or isinstance(value, Mapping)
    if _CLASS_LIKE.fullmatch(name):
        hint = did_you_mean(name, [known for known in _class_names() if known != name])
        if has_arguments or hint:
            raise ConfigError(
                f"{place}: no public class '{name}' that a configuration can make.{hint} "
                f"For a plain mapping with this key write {{dict: {{{name}: ...}}}}."
            )
    elif name in _public_names() and has_arguments:
        raise ConfigError(
            f"{place}: '{name}' is a function: a configuration calls only `cutoffs` and `open_prepared`. "
            "Name a class, or call the function from Python."
        )
    return None


def _content(data: Mapping[str, Any]) -> Mapping[str, Any]:
    content = data.get(_PLAIN) if len(data) == 1 else None
    return content if isinstance(content, Mapping) else data


def _plain_mapping(data: dict[str, Any]) -> dict[str, Any]:
    """`data`, marked as plain where its only key could be taken for a constructor, today or tomorrow."""
    if len(data) == 1:
        ((key, value),) = data.items()
        if _CLASS_LIKE.fullmatch(key) or key == _PLAIN or value is None or isinstance(value, dict):
            return {_PLAIN: data}
    return data


def _arguments(name: str, make: Callable[..., Any], given: Any, place: _Place) -> _Arguments:
    parameters = inspect.signature(make).parameters
    arguments = _named(parameters, given, place)
    for key in arguments:
        if key not in parameters:
            hint = did_you_mean(key, parameters) or f" Its parameters are: {', '.join(parameters) or 'none'}."
            raise ConfigError(f"{place}: no parameter '{key}'.{hint}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in arguments:
            raise ConfigError(f"{place}: the parameter '{key}' is missing. Add `{key}: ...` to {name}.")
    return arguments


def _named(parameters: Mapping[str, inspect.Parameter], given: Any, place: _Place) -> _Arguments:
    """`given` by parameter. What is no mapping of arguments is the value of the first parameter."""
    if given is None:
        return {}
    if isinstance(given, Mapping) and not _is_construction(given):
        return {key: (value, place.inside(key)) for key, value in given.items()}
    first = next(iter(parameters.values()), None)
    if first is None or first.kind is not first.POSITIONAL_OR_KEYWORD:
        names = ", ".join(parameters) or "none"
        raise ConfigError(f"{place}: {given!r} stands without a name. Name its parameter, one of: {names}.")
    return {first.name: (given, place)}


def _is_construction(data: Mapping[str, Any]) -> bool:
    return len(data) == 1 and _constructor(next(iter(data))) is not None


def _call(name: str, make: Callable[..., Any], arguments: dict[str, Any], place: _Place) -> Any:
    try:
        return make(**arguments)
    except MissingExtraError:
        raise
    except CrmmlError as error:
        # The place already ends with the class, so its name is not said twice.
        raise type(error)(f"{place}: {str(error).removeprefix(f'{name}: ')}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{place}: {error}") from error


def _public_names() -> list[str]:
    # By name: this module lies below the modules whose classes it builds.
    return list(import_module("crmml")._HOME_OF)


def _class_names() -> list[str]:
    homes = import_module("crmml")._HOME_OF
    return [name for name, home in homes.items() if name[0].isupper() and home != "errors"]


def _constructor(name: Any) -> Any:
    """The public constructor called `name`, or None."""
    if name not in _public_names() or not (name[:1].isupper() or name in _OTHER_CONSTRUCTORS):
        return None
    found = getattr(import_module("crmml"), name)
    if name in _OTHER_CONSTRUCTORS:
        return found
    makes_values = inspect.isclass(found) and (issubclass(found, Definition) or hasattr(found, "get_params"))
    return found if makes_values else None


def _construction(value: Any) -> dict[str, Any]:
    name = type(value).__name__
    if isinstance(value, type) or _constructor(name) is not type(value) or name in _OTHER_CONSTRUCTORS:
        raise ConfigError(
            f"{value!r} cannot be written as data: {name} is no definition or estimator of crmml. "
            "Use the classes that crmml lists in dir(crmml)."
        )
    arguments = {key: to_data(item) for key, item in non_defaults(value).items()}
    if len(arguments) == 1:
        ((key, item),) = arguments.items()
        first = next(iter(inspect.signature(type(value)).parameters.values()))
        by_position = first.kind is first.POSITIONAL_OR_KEYWORD and first.default is first.empty
        if first.name == key and by_position and item is not None and not isinstance(item, dict):
            return {name: item}
    return {name: arguments}
