"""YAML is read strictly: what readers disagree about is refused, with the line and with what to do."""

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crmml.errors import ConfigError
from crmml.yaml_text import MAX_BYTES, MAX_DEPTH, load_yaml, write_yaml


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_yaml(text, "job.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("~", None),
        ("null", None),
        ("", None),
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-12", -12),
        ("+12", 12),
        ("12.5", 12.5),
        ("1.0e-3", 0.001),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("'NO'", "NO"),
        ('"012"', "012"),
        ("2024-01-31", "2024-01-31"),  # a date stays what was written
        ("2024-01-31 10:00:00", "2024-01-31 10:00:00"),
        ("1.2.3", "1.2.3"),
        ("90d", "90d"),
        ("0abc", "0abc"),
        ("y", "y"),
        ("=", "="),
        ("Europe/Berlin", "Europe/Berlin"),
        ("[a, 1, [true]]", ["a", 1, [True]]),
        ("{a: {b: }}", {"a": {"b": None}}),
    ],
)
def test_what_is_read(text: str, value: Any) -> None:
    assert load_yaml(text) == value
    assert load_yaml(f"key: {text}") == {"key": value}


@pytest.mark.parametrize("word", ["NO", "no", "yes", "Yes", "on", "ON", "Off", "True", "FALSE"])
def test_a_word_that_some_read_as_a_truth_value_is_refused(word: str) -> None:
    message = (
        f"job.yaml:2:10: {word} is a truth value to some readers of YAML and a text to others. "
        f"Write true or false, or quote it: '{word}'."
    )
    assert refused(f"a: 1\ncountry: {word}") == message
    assert load_yaml(f"country: '{word}'") == {"country": word}


def test_a_key_is_refused_like_a_value() -> None:
    assert refused("on: 1") == (
        "job.yaml:1:1: on is a truth value to some readers of YAML and a text to others. "
        "Write true or false, or quote it: 'on'."
    )


def test_an_unusual_null_is_refused() -> None:
    assert refused("a: NULL") == (
        "job.yaml:1:4: NULL is nothing to some readers of YAML and a text to others. Write null, or quote it: 'NULL'."
    )


@pytest.mark.parametrize(
    "number",
    ["1e-3", "1E5", "1.0e3", "012", "00", "-012", "0x1F", "0o17", "0b11", "1_000", "1:30", "10:00:00", ".Inf"],
)
def test_a_number_that_some_read_as_a_text_is_refused(number: str) -> None:
    assert refused(f"rate: {number}") == (
        f"job.yaml:1:7: {number} is a number to some readers of YAML and a text to others. "
        f"Write a plain number such as 0.001, 1.0e-3 or 12, or quote it: '{number}'."
    )
    assert load_yaml(f"rate: '{number}'") == {"rate": number}


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: 1\nb: 2\na: 3",
            "job.yaml:3:1: the key 'a' stands here for the second time. Keep one of the two.",
        ),
        (BOMB, "job.yaml:1:4: the anchor &a is refused. Write the value out where it is used."),
        ("a: *b", "job.yaml:1:4: the alias *b is refused. Write the value out."),
        ("<<: {a: 1}", "job.yaml:1:1: the merge key << is refused. Write the keys out."),
        (
            "a: !!python/object/apply:os.system [ls]",
            (
                "job.yaml:1:4: the tag 'tag:yaml.org,2002:python/object/apply:os.system' is refused. "
                "Write the plain value without a tag."
            ),
        ),
        (
            "a: !!str 1",
            "job.yaml:1:4: the tag 'tag:yaml.org,2002:str' is refused. Write the plain value without a tag.",
        ),
        ("1: a", "job.yaml:1:1: the key 1 is no text. Quote it, or name the parameter that you mean."),
        ("? [a]\n: b", "job.yaml:1:3: the key ['a'] is no text. Quote it, or name the parameter that you mean."),
        ("a:\n\tb: 1", "job.yaml:2:1: a tab in the indentation. Indent with spaces."),
        ("a:\n  \tb: 1", "job.yaml:2:3: a tab in the indentation. Indent with spaces."),
        (
            "a: [1",
            (
                "job.yaml:1:6: this is no YAML: expected ',' or ']', but got '<stream end>'. "
                "Check the indentation, the brackets and the quotes there."
            ),
        ),
        (
            "a: b: c",
            (
                "job.yaml:1:5: this is no YAML: mapping values are not allowed here. "
                "Check the indentation, the brackets and the quotes there."
            ),
        ),
        (
            "a: 1\n---\nb: 2",
            (
                "job.yaml:2:1: this is no YAML: but found another document. "
                "Check the indentation, the brackets and the quotes there."
            ),
        ),
        (
            "a: b\nc: \x00",
            (
                "job.yaml:2:4: the character '\\x00' may not stand in YAML. "
                "Remove it, or write it as an escape in double quotes."
            ),
        ),
        (
            'a: "\\U00ffffff"',
            "job.yaml: this is no YAML: chr() arg not in range(0x110000). Check its numbers, quotes and escapes.",
        ),
        ("[" * 100_000, "job.yaml:1:51: nested more than 50 levels deep. Write it flatter."),
        ("- " * 51 + "x", "job.yaml:1:101: nested more than 50 levels deep. Write it flatter."),
        (
            "a: " + "x" * MAX_BYTES,
            "job.yaml: 1000003 bytes are too many for a configuration. Use at most 1000000.",
        ),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    assert refused(text) == message


def test_as_deep_as_allowed_is_read() -> None:
    text = "[" * (MAX_DEPTH - 1) + "x" + "]" * (MAX_DEPTH - 1)  # the text is one level more
    value = load_yaml(text)
    for _ in range(MAX_DEPTH - 1):
        (value,) = value
    assert value == "x"


def test_a_number_too_long_to_be_one_is_refused() -> None:
    assert refused("a: " + "9" * 5000).startswith("job.yaml: this is no YAML: Exceeds the limit (4300 digits)")


def test_without_a_name_the_text_is_called_yaml() -> None:
    with pytest.raises(ConfigError, match=r"^<yaml>:1:1: the alias \*x is refused"):
        load_yaml("*x")


plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
number_like = st.from_regex(re.compile(r"[-+]?[0-9_.:eExo]{1,8}", re.ASCII), fullmatch=True)
WORDS = ["NO", "yes", "on", "~", "null", "Null", "<<", "=", "true", "2024-01-01", "🛒🇩🇪", "購買"]
SIGNS = ["#a", "a: b", "- a", "'", '"', " a ", "", "...", "---", "%a", "@a", "\ufeff", "\x7f"]
BREAKS = ["a\n", "\n", "a\n\nb", "\t", "\r", "\x85", "\u2028"]
tricky = number_like | st.sampled_from(WORDS + SIGNS + BREAKS)


@given(plain_data | tricky | st.lists(tricky) | st.dictionaries(tricky, tricky))
def test_what_is_written_is_read_back(data: Any) -> None:
    text = write_yaml(data)
    assert load_yaml(text) == data
    assert repr(load_yaml(text)) == repr(data)  # 1 stays 1, not True or 1.0


@given(st.dictionaries(st.text(), tricky | st.integers() | st.booleans() | st.floats(allow_nan=False)))
def test_other_readers_of_yaml_read_the_same(data: dict[str, Any]) -> None:
    read = yaml.safe_load(write_yaml(data))
    dates = {key for key, value in data.items() if re.fullmatch(r"\d{4}-\d\d-\d\d", str(value))}
    assert {key: read[key] for key in data if key not in dates} == {
        key: value for key, value in data.items() if key not in dates
    }


@given(st.text() | st.text(alphabet="[]{}:,-?&*!|>'\"%@` \n\tab01#"))
def test_any_text_is_read_or_refused_with_a_message(text: str) -> None:
    try:
        load_yaml(text, "job.yaml")
        message = "job.yaml: read"
    except ConfigError as error:
        message = str(error)
    assert message.startswith("job.yaml:")
