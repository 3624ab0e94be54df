"""The docstring of a feature as its parts: what it is, formula, unit, missing rule, source, parameters, example.

The convention is the one of this docstring's own example: a sentence, paragraphs, then lines that begin with a word of
`FIELDS`, which indented lines continue.

>>> parts = read('''Number of events.
...
... Any type counts.
...
... Formula: with the types v:
...     sum_v n_v
... Unit: events
... Missing: never
...
... Args:
...     window: how far back
...         to look.
...
... >>> 1 + 1
... 2
... ''')
>>> parts.sentence, parts.paragraphs, parts.parameters
('Number of events.', ['Any type counts.'], {'window': 'how far back to look.'})
>>> parts.fields
{'Formula': 'with the types v:\\n    sum_v n_v', 'Unit': 'events', 'Missing': 'never'}
>>> parts.example
'>>> 1 + 1\\n2'
"""

import inspect
import re
from dataclasses import dataclass

from crmml.features.aggregate import Feature

FIELDS = ("Formula", "Unit", "Missing", "Source")


@dataclass(frozen=True)
class Parts:
    """What a docstring says."""

    sentence: str
    paragraphs: list[str]
    fields: dict[str, str]
    parameters: dict[str, str]
    example: str


def parts_of(feature: type[Feature]) -> Parts:
    """The parts of a class's own docstring."""
    return read(vars(feature)["__doc__"])


def read(docstring: str) -> Parts:
    """The parts of a docstring."""
    text, _, example = inspect.cleandoc(docstring).partition("\n>>> ")
    paragraphs, fields, parameters = [], {}, {}
    for block in re.split(r"\n\s*\n", text.strip()):
        if block.startswith(FIELDS):
            fields.update(_fields(block))
        elif block.startswith("Args:"):
            parameters.update(_parameters(block))
        else:
            paragraphs.append(" ".join(block.split()))
    sentence, *others = paragraphs
    return Parts(sentence, others, fields, parameters, f">>> {example}".strip() if example else "")


def _fields(block: str) -> dict[str, str]:
    starts = re.split(rf"^({'|'.join(FIELDS)}):", block, flags=re.MULTILINE)[1:]
    return {name: text.strip() for name, text in zip(starts[::2], starts[1::2], strict=True)}


def _parameters(block: str) -> dict[str, str]:
    starts = re.split(r"^    (\w+):", block, flags=re.MULTILINE)[1:]
    return {name: " ".join(text.split()) for name, text in zip(starts[::2], starts[1::2], strict=True)}
