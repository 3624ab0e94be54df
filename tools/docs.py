"""Run the examples of a Markdown page, and paste their output into it.

    python tools/docs.py README.md docs/tasks/churn.md

The examples of one page run from top to bottom, in one namespace and one empty folder:

- a `python` block is executed; a `text` block right below it shows what it printed, or the error it ended in;
- a `pycon` block is executed prompt by prompt, as in a docstring;
- a `console` block holds `$ crmml ...` lines, each above its output;
- a `yaml` block whose first line is `# name.yaml` is saved under that name.

Outputs with `...` in them are left as they are: `...` stands for anything, as in a doctest.
`tests/test_docs.py` fails where a page shows something else than what is printed.
"""

import contextlib
import doctest
import io
import itertools
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^```(?P<language>[a-z]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
# Commands that a page may show but that are not run here: they install, or take minutes.
NOT_RUN = ("git ", "make ", "pip install", "python examples/", "python benchmarks/", ".venv/bin/")


@dataclass(frozen=True)
class Example:
    """One thing that a page shows: its code, where it stands, and the output shown (None: none is shown)."""

    language: str
    code: str
    line: int
    shown: str | None
    start: int  # of the output shown, as an offset in the page
    end: int


@dataclass(frozen=True)
class Result:
    """An example, and what it printed."""

    example: Example
    printed: str

    @property
    def agrees(self) -> bool:
        """Whether the page shows what was printed; an example without output may print what it likes."""
        shown = self.example.shown
        return shown is None or doctest.OutputChecker().check_output(tidy(shown), tidy(self.printed), doctest.ELLIPSIS)


def tidy(text: str) -> str:
    """The text without blanks at the ends of lines and without empty lines around it."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()).rstrip() + "\n"


def examples(page: str) -> Iterator[Example]:
    """The examples of a page in order.

    >>> page = "```python\\nprint(1 + 1)\\n```\\n\\n```text\\n2\\n```\\n"
    >>> [(example.code, example.shown) for example in examples(page)]
    [('print(1 + 1)\\n', '2\\n')]
    >>> list(examples("No example."))
    []
    """
    blocks = list(FENCE.finditer(page))
    for block, after in itertools.zip_longest(blocks, blocks[1:]):
        line = page.count("\n", 0, block.start()) + 2
        if block["language"] == "python":
            below = after and after["language"] == "text" and not page[block.end() : after.start()].strip()
            shown = after["body"] if after and below else None
            start, end = after.span("body") if after and below else (0, 0)
            yield Example("python", block["body"], line, shown, start, end)
        elif block["language"] == "pycon":
            yield Example("pycon", block["body"], line, block["body"], *block.span("body"))
        elif block["language"] == "console":
            yield from _commands(block, line)
        elif block["language"] == "yaml" and re.match(r"# [\w.-]+\.yaml\n", block["body"]):
            yield Example("yaml", block["body"], line, None, 0, 0)


def _commands(block: re.Match[str], line: int) -> Iterator[Example]:
    body, offset = block["body"], block.start("body")
    for match in re.finditer(r"^\$ (?P<command>.*)\n(?P<output>(?:(?!\$ ).*\n)*)", body, re.MULTILINE):
        start, end = match.span("output")
        at = line + body.count("\n", 0, match.start())
        # A comment at the end of a line tells the reader something, not the shell.
        command = match["command"].split("  #")[0]
        yield Example("console", command, at, match["output"] or None, offset + start, offset + end)


def run(page: Path) -> list[Result]:
    """Run the examples of a page in the current folder.

    An error that a page does not show is raised; one that it shows is part of the output, as its class
    and its message.
    """
    text = page.read_text("utf-8")
    space: dict[str, Any] = {"__name__": "__main__"}
    results = []
    for example in examples(text):
        if example.language == "python":
            printed = _python(example, page, space)
        elif example.language == "pycon":
            printed = _prompts(example, page, space)
        elif example.language == "console":
            printed = _console(example)
        else:
            name = example.code.split("\n")[0].removeprefix("# ")
            Path(name).write_text(example.code, "utf-8")
            printed = ""
        results.append(Result(example, printed))
    return results


def _python(example: Example, page: Path, space: dict[str, Any]) -> str:
    # The empty lines make tracebacks point at the line of the page.
    code = compile("\n" * (example.line - 1) + example.code, str(page), "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(code, space)
        except Exception as error:
            if f"{type(error).__name__}: " not in (example.shown or ""):
                raise
            print(f"{type(error).__name__}: {error}")
    return printed.getvalue()


def _prompts(example: Example, page: Path, space: dict[str, Any]) -> str:
    """The block as a terminal would show it, prompts and all."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for part in doctest.DocTestParser().get_examples(example.code):
            first, *others = part.source.splitlines()
            print("\n".join([f">>> {first}", *(f"... {line}" for line in others)]))
            exec(compile(part.source, f"{page}:{example.line}", "single"), space)
    return printed.getvalue()


def _console(example: Example) -> str:
    if example.code.startswith(NOT_RUN):
        return example.shown or ""
    program, *arguments = shlex.split(example.code)
    if program != "crmml":
        raise ValueError(f"a page shows the command {example.code!r}: only `crmml ...` and {NOT_RUN} are known")
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "crmml", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if example.shown else subprocess.PIPE,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode and not example.shown:
        raise RuntimeError(f"line {example.line}: {example.code!r} failed: {done.stdout}{done.stderr}")
    return done.stdout


def rewritten(text: str, results: list[Result]) -> str:
    """The page with what was printed in place of what it shows, unless it agrees already."""
    for result in reversed(results):
        example = result.example
        if example.shown is not None and not result.agrees:
            text = text[: example.start] + tidy(result.printed) + text[example.end :]
    return text


def main(pages: list[str]) -> int:
    """Rewrite the pages in place."""
    for page in map(Path, pages):
        path = page.resolve()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            results = run(path)
        changed = rewritten(path.read_text("utf-8"), results)
        replaced = sum(not result.agrees for result in results)
        print(f"{page}: {len(results)} examples, {replaced} outputs replaced")
        path.write_text(changed, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
