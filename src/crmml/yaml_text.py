"""YAML text to plain data and back, without YAML's surprises.

What every reader of YAML reads alike is accepted; what one reads as a text and another as a number or a
truth value is refused, with the line and with what to write instead.
"""

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from crmml.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_DEPTH = 50

_NULL = {"", "~", "null"}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?|[-+]?\.inf|\.nan")
_BOOLEAN_TRAP = re.compile(r"yes|no|on|off|true|false|null", re.IGNORECASE)
_NUMBER_TRAP = re.compile(
    r"[-+]?0([0-9_]+|[xX][0-9a-fA-F_]+|[oObB][0-7_]+)"  # 012 is ten, 0x1F is 31 to some readers
    r"|[-+]?\.?[0-9][0-9_.]*([eE][-+]?[0-9_]+)?"  # 1e-3 is a text to some readers, 1_000 to others
    r"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"  # 1:30 is ninety to some readers
    r"|[-+]?\.(inf|nan)",
    re.IGNORECASE,
)
_VERSION_LIKE = re.compile(r"[0-9]+(\.[0-9]+){2,}\.?|\.|[0-9.]*\.\.[0-9.]*")


def load_yaml(text: str, where: str = "") -> Any:
    """The plain data (mappings, lists, texts, numbers, true, false, null) that the YAML `text` says.

    Args:
        text: YAML of one document, up to 1 MB and 50 levels deep. Dates stay texts.
        where: what to call the text in messages, such as the name of its file.

    Raises:
        ConfigError: with line and column, for a syntax error, a duplicate key, an anchor, alias or tag, a key
            that is no text, a tab in the indentation, and for plain words that YAML readers disagree about
            (`NO`, `1e-3`, `012`, `1:30`).

    >>> import crmml as cm
    >>> cm.load_yaml("horizon: 60d\\nas_of: [2024-01-01, 2024-02-01]")
    {'horizon': '60d', 'as_of': ['2024-01-01', '2024-02-01']}
    >>> cm.load_yaml("country: NO", where="job.yaml")
    Traceback (most recent call last):
        ...
    crmml.errors.ConfigError: job.yaml:1:10: NO is a truth value to some readers of YAML... quote it: 'NO'.
    """
    name = where or "<yaml>"
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise ConfigError(f"{name}: {size} bytes are too many for a configuration. Use at most {MAX_BYTES}.")
    _refuse_tabs(text, name)
    loader: _StrictLoader | None = None
    try:
        loader = _StrictLoader(text, name)
        node = loader.get_single_node()
        return None if node is None else _data(node, name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(
            f"{_at(mark, name)}: this is no YAML: {error.problem or error.context}. "
            "Check the indentation, the brackets and the quotes there."
        ) from None
    except yaml.reader.ReaderError as error:
        line, column = _line_and_column(text, error.position)
        raise ConfigError(
            f"{name}:{line}:{column}: the character {chr(int(error.character))!r} may not stand in YAML. "
            "Remove it, or write it as an escape in double quotes."
        ) from None
    except (ValueError, IndexError, RecursionError, OverflowError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{name}: this is no YAML: {error}. Check its numbers, quotes and escapes.") from None
    finally:
        if loader is not None:
            loader.dispose()


def write_yaml(data: Any) -> str:
    """Plain data as YAML that `load_yaml` reads back to the same data.

    >>> print(write_yaml({"Sum": {"column": "amount", "window": "90d"}, "as_of": "2024-01-01"}), end="")
    Sum: {column: amount, window: 90d}
    as_of: 2024-01-01
    """
    text: str = yaml.dump(
        data, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )
    return text.removesuffix("...\n")  # the end mark that PyYAML puts after a lone scalar


def _refuse_tabs(text: str, name: str) -> None:
    for number, line in enumerate(text.splitlines(), start=1):
        indentation = line[: len(line) - len(line.lstrip(" \t"))]
        if "\t" in indentation:
            column = indentation.index("\t") + 1
            raise ConfigError(f"{name}:{number}:{column}: a tab in the indentation. Indent with spaces.")


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def _at(mark: Any, name: str) -> str:
    return name if mark is None else f"{name}:{mark.line + 1}:{mark.column + 1}"


class _StrictLoader(yaml.SafeLoader):
    """Reads nodes, and refuses anchors, aliases, tags and depth before anything is built from them."""

    def __init__(self, text: str, name: str) -> None:
        self._where = name
        self._depth = 0
        super().__init__(text)

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        at = _at(event.start_mark, self._where)
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{at}: the alias *{event.anchor} is refused. Write the value out.")
        if event.anchor is not None:
            raise ConfigError(f"{at}: the anchor &{event.anchor} is refused. Write the value out where it is used.")
        if event.tag is not None:
            raise ConfigError(f"{at}: the tag {event.tag!r} is refused. Write the plain value without a tag.")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConfigError(f"{at}: nested more than {MAX_DEPTH} levels deep. Write it flatter.")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _data(node: Node, name: str) -> Any:
    if isinstance(node, MappingNode):
        return _mapping(node, name)
    if isinstance(node, SequenceNode):
        return [_data(item, name) for item in node.value]
    assert isinstance(node, ScalarNode)  # noqa: S101  (YAML has these three kinds only)
    return node.value if node.style is not None else _plain(node.value, _at(node.start_mark, name))


def _mapping(node: MappingNode, name: str) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        at = _at(key_node.start_mark, name)
        key = _data(key_node, name)
        if not isinstance(key, str):
            raise ConfigError(f"{at}: the key {key!r} is no text. Quote it, or name the parameter that you mean.")
        if key == "<<" and key_node.style is None:
            raise ConfigError(f"{at}: the merge key << is refused. Write the keys out.")
        if key in data:
            raise ConfigError(f"{at}: the key {key!r} stands here for the second time. Keep one of the two.")
        data[key] = _data(value_node, name)
    return data


def _plain(text: str, at: str) -> Any:
    """The value of an unquoted scalar."""
    if text in _NULL:
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    if _BOOLEAN_TRAP.fullmatch(text):
        raise ConfigError(_boolean_trap(text, at))
    if _NUMBER_TRAP.fullmatch(text) and not _VERSION_LIKE.fullmatch(text):
        raise ConfigError(
            f"{at}: {text} is a number to some readers of YAML and a text to others. "
            f"Write a plain number such as 0.001, 1.0e-3 or 12, or quote it: '{text}'."
        )
    return text


def _boolean_trap(text: str, at: str) -> str:
    kind, instead = ("nothing", "null") if text.lower() == "null" else ("a truth value", "true or false")
    return (
        f"{at}: {text} is {kind} to some readers of YAML and a text to others. Write {instead}, or quote it: '{text}'."
    )


class _PlainDumper(yaml.SafeDumper):
    """Writes only what `load_yaml` reads: no anchors, and quotes where a text is not plainly one."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


# Dates stay texts, so they need no quotes.
_PlainDumper.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
}


def _write_text(dumper: _PlainDumper, text: str) -> ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _style(text: str) -> str | None:
    """None where `text` can stand without quotes, as far as its value goes."""
    if any(line_break in text for line_break in "\n\r\x85\u2028\u2029"):
        return '"'  # as escapes: single quotes fold line breaks
    try:
        return None if _plain(text, "") == text and text != "<<" else "'"
    except ConfigError:
        return "'"


_PlainDumper.add_representer(str, _write_text)
