"""Loading and scoring a bundle executes nothing of it: watched from inside the interpreter."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bundle.bundles import KINDS, saved

ROOT = Path(__file__).resolve().parents[2]
# From the first line on no class is looked up by a pickle, and no code comes from a bundle's folder. After
# a first load and score have imported what they import, a second load and score run no code at all.
WATCHED = """
import sys
folders = sys.argv[1:]
events, strict = [], False
# inspect.signature() of a class without __init__ parses this text, which is Python's own, into a syntax tree.
OBJECT = ("compile", ["b'def foo(): pass'", "<unknown>"])
# Arrow before 25 looks for it whenever it names a zone. It is not installed; if it were, its code would be seen to run.
LOOKED_FOR = ("import", "pytz")
RUNS_CODE = {"exec", "compile", "import", "pickle.find_class", "marshal.loads", "os.system", "os.exec", "os.fork",
             "os.posix_spawn", "subprocess.Popen", "socket.connect", "ctypes.dlopen", "code.__new__"}

def watch(event, args):
    if event not in RUNS_CODE:
        return
    seen = [str(getattr(argument, "co_filename", argument))[:200] for argument in args]
    ours = any(text.startswith(tuple(folders)) for text in seen)
    known = (event, seen) == OBJECT or (event, seen[0]) == LOOKED_FOR
    if (strict or ours or event == "pickle.find_class") and not known:
        events.append((event, seen))

sys.addaudithook(watch)
import json
import crmml as cm

log = cm.simulate_log(50, seed=3).log
for folder in folders:
    cm.Bundle.load(folder).score(log, "2024-09-01")
strict = True
rows = [len(cm.Bundle.load(folder).score(log, "2024-09-01")) for folder in folders]
strict = False
print(json.dumps([rows, events]))
"""


def run(script: str, *arguments: Path) -> Any:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


def test_nothing_is_executed(tmp_path: Path) -> None:
    rows, events = run(WATCHED, *[saved(kind, tmp_path) for kind in KINDS])
    assert len(rows) == len(KINDS)
    assert all(rows)
    assert events == []


def test_the_watch_sees_what_it_watches_for(tmp_path: Path) -> None:
    """A pickled class, an executed file, and any code at all later on: each is in the list of events."""
    (tmp_path / "evil.py").write_text("0")
    start = WATCHED.index("import json")
    planted = """
import collections, json, pickle, runpy
pickle.loads(pickle.dumps(collections.OrderedDict()))
runpy.run_path(folders[0] + "/evil.py")
strict = True
eval("1")
strict = False
print(json.dumps([event for event, _ in events]))
"""
    assert run(WATCHED[:start] + planted, tmp_path) == ["pickle.find_class", "compile", "exec", "compile", "exec"]
