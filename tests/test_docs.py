"""The documentation runs: every page's examples are executed, and print what the page shows."""

import re
from pathlib import Path

import pytest

from tools import docs

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_a_page_print_what_it_shows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for result in docs.run(ROOT / name):
        shown = docs.tidy(result.example.shown or "")
        assert result.agrees, (
            f"{name}:{result.example.line} shows\n{shown}\nbut this is printed (python tools/docs.py {name} "
            f"pastes it in):\n{docs.tidy(result.printed)}"
        )


def headings(page: Path) -> set[str]:
    """The anchors that a page offers, made of its headings the way code hosts make them."""
    lines = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("name", [*NAMES, "CHANGELOG.md"])
def test_every_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        assert aim.exists(), f"{name}: the link {target} leads nowhere"
        assert not anchor or anchor in headings(aim), f"{name}: {target}: no such heading"


def test_every_page_can_be_reached_from_the_readme() -> None:
    waiting, reached = [ROOT / "README.md"], set()
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for target in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text("utf-8")):
            aim = (page.parent / target).resolve()
            if aim.exists() and aim not in reached:
                waiting.append(aim)
    assert set(PAGES) - reached == set()


def test_the_first_screen_of_the_readme_shows_code_and_its_output() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text("utf-8").splitlines()[:50])
    assert any(example.shown for example in docs.examples(first_screen))


def test_a_wrong_output_is_noticed_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n\nend\n", "utf-8")
    results = docs.run(page)
    assert [result.agrees for result in results] == [False]
    assert (
        docs.rewritten(page.read_text("utf-8"), results) == "```python\nprint(1 + 1)\n```\n\n```text\n2\n```\n\nend\n"
    )


def test_an_error_that_the_page_shows_is_output_and_another_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text("```python\nint('x')\n```\n\n```text\nValueError: invalid literal ...\n```\n", "utf-8")
    assert [result.agrees for result in docs.run(page)] == [True]
    page.write_text("```python\nint('x')\n```\n\n```text\nnothing\n```\n", "utf-8")
    with pytest.raises(ValueError, match="invalid literal for int"):
        docs.run(page)


def test_an_unknown_command_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ curl example.org\n```\n", "utf-8")
    with pytest.raises(ValueError, match=r"a page shows the command 'curl example\.org'"):
        docs.run(page)
