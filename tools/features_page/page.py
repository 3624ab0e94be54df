"""The page docs/features.md: what all features share, then one section for each public class."""

import contextlib
import dataclasses
import inspect
import re
import tempfile
from functools import cache
from pathlib import Path

import crmml
from crmml import FeatureSet
from crmml.features.aggregate import Aggregate, Feature
from tools import docs
from tools.features_page.activity import HOW_OFTEN, WHEN
from tools.features_page.docstrings import parts_of
from tools.features_page.picture import Gallery, Picture, spoken
from tools.features_page.values import HOW_MUCH, WHICH

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "features.md"
PICTURES = ROOT / "docs" / "pictures"
PROSE = Path(__file__).with_name("prose.md")
FAMILIES: dict[str, dict[str, Picture]] = {
    "When, and in which rhythm": WHEN,
    "How often, and in which direction": HOW_OFTEN,
    "How much": HOW_MUCH,
    "Which, and how broadly": WHICH,
}
GALLERY = Gallery({name: picture for family in FAMILIES.values() for name, picture in family.items()})


def public_features() -> dict[str, type[Feature]]:
    """Every class of the public table that is a feature."""
    named = {name: getattr(crmml, name) for name in crmml.__all__}
    return {name: value for name, value in named.items() if inspect.isclass(value) and issubclass(value, Feature)}


def file_of(name: str) -> str:
    """The file of a class's picture.

    >>> file_of("DaysActive"), file_of("NUnique")
    ('days_active.svg', 'nunique.svg')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() + ".svg"


@cache
def pictures() -> dict[str, str]:
    """Every picture by its file."""
    return {file_of(name): GALLERY.svg(name) for name in GALLERY.pictures}


def page() -> str:
    """The whole page, with the output of its examples as they print it now."""
    prose = PROSE.read_text("utf-8").replace("{presets}", _presets()).replace("{contents}", _contents())
    text = "\n".join([prose, *(_family(title, family) for title, family in FAMILIES.items())])
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        file = Path(folder) / "features.md"
        file.write_text(text, "utf-8")
        return docs.rewritten(text, docs.run(file))


def _presets() -> str:
    rows = [(f"`{name}`", _sentence(getattr(crmml.presets, name))) for name in crmml.presets.__all__]
    return _table(("preset", "what it holds"), rows)


def _sentence(value: object) -> str:
    return " ".join((inspect.getdoc(value) or "").split("\n\n", maxsplit=1)[0].split())


def _contents() -> str:
    parts = []
    for title, family in FAMILIES.items():
        rows = [(f"[`{name}`](#{name.lower()})", parts_of(public_features()[name]).sentence) for name in family]
        parts.append(f"**{title}**\n\n{_table(('class', 'value for one customer at one cutoff'), rows)}")
    return "\n\n".join(parts)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _family(title: str, family: dict[str, Picture]) -> str:
    return "\n".join([f"## {title}\n", *(section(name, public_features()[name]) for name in family)])


def section(name: str, feature: type[Feature]) -> str:
    """All that the page says of one class."""
    parts = parts_of(feature)
    return "\n\n".join(
        [
            f"### {name}",
            parts.sentence,
            *parts.paragraphs,
            "\n".join(_facts(feature)),
            f"![{GALLERY.summary(name)}](pictures/{file_of(name)})",
            _values(name),
            f"```pycon\n{parts.example}\n```\n",
        ]
    )


def _facts(feature: type[Feature]) -> list[str]:
    """The list of formula, unit, missing rule, parameters and source."""
    parts = parts_of(feature)
    known = dict(parts.fields)
    formula, _, more = known["Formula"].partition("\n")
    lines = [f"- Formula: {formula if more else f'`{formula}`'}"]
    if more:
        lines += ["", "  ```", *("  " + line.removeprefix("    ") for line in more.splitlines()), "  ```", ""]
    lines += [f"- Unit: {known['Unit']}", f"- Missing: {' '.join(known['Missing'].split())}"]
    lines += [f"- Source: {' '.join(known['Source'].split())}"] if "Source" in known else []
    lines.append(f"- Parameters: {_parameters(feature)}")
    return lines + [f"  - `{name}`: {text}" for name, text in parts.parameters.items()]


def _parameters(feature: type[Feature]) -> str:
    shared = {field.name for field in dataclasses.fields(Aggregate)} if issubclass(feature, Aggregate) else set()
    own = [
        f"`{field.name}`" if field.default is dataclasses.MISSING else f"`{field.name}={field.default!r}`"
        for field in dataclasses.fields(feature)
        if field.name not in shared
    ]
    return ", ".join([*own, *(["those of [the filter and the window](#filters)"] if shared else [])])


def _values(name: str) -> str:
    """What the picture shows, as the table that `build_features` makes, with its columns in words."""
    values = GALLERY.values(name)
    words = FeatureSet(list(GALLERY.pictures[name].features)).describe().itertuples()
    rows = [(f"`{row.column}`", str(row.words), spoken(values[str(row.column)]), str(row.unit)) for row in words]
    return _table(("column", "in words", "in the picture", "unit"), rows)
