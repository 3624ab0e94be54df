"""The kinds of faults: a name, the full number, and what runs so many of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.torture import canaries, disturb, flips, growing, hostile, hostile_mlflow, tracking
from tests.torture.disturb import timed
from tests.torture.world import Tally, World


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    full: how many `make torture` tries.
    run: the tally of so many of them, from a number on: other numbers are other moments, places and calls.
    means: what is done, in a sentence for docs/reliability.md.
    at_a_time: after how many the result is kept.
    """

    name: str
    full: int
    run: Callable[[World, int, int], Tally]
    means: str
    at_a_time: int = 50


def _judged(fault: str, found: Callable[[Path], dict[str, str]]) -> Tally:
    """The tally of attacks, each of which either did nothing or has a problem."""
    with timed(fault) as tally, TemporaryDirectory(prefix="torture-") as scratch:
        for name, problem in found(Path(scratch)).items():
            tally.count({"survived": f"{name}: {problem}"} if problem else {})
    return tally


def hostile_bundles(world: World, n: int, start: int) -> Tally:
    """All hostile bundles, whatever the number: they are a list."""
    if start:
        return Tally("hostile bundles")
    return _judged(
        "hostile bundles", lambda place: hostile.run(world.nursery, place, max(1, len(hostile.ATTACKS) // n))
    )


def hostile_models(world: World, n: int, start: int) -> Tally:
    """All hostile models in MLflow."""
    if start:
        return Tally("hostile models in MLflow")
    every = max(1, len(hostile_mlflow.ATTACKS) // n)
    return _judged("hostile models in MLflow", lambda place: hostile_mlflow.run(world.nursery, place, every))


def personal_data(world: World, n: int, start: int) -> Tally:
    """Every sink is a try: it survives where no canary is found in it."""

    def found(place: Path) -> dict[str, str]:
        ended = world.nursery.one("journey", str(place), timeout=900)
        if ended.status:
            return {"the journey": f"{ended.status}: {ended.output[-500:]}"}
        sinks = canaries.sinks_of(place, ended.output) | {"metadata of the scores": [canaries.metadata_of(place)]}
        return {name: ", ".join(sorted(words)) for name, words in canaries.searched(sinks).items()}

    name = "places searched for personal data planted in a log"
    return Tally(name) if start else _judged(name, found)


KINDS = (
    Kind(
        "kills-of-scoring",
        700,
        disturb.scoring_killed,
        "The scoring job gets SIGKILL at a random moment between its start and its end, in one part and in several, "
        "with scores of an earlier night in the folder and without.",
    ),
    Kind(
        "kills-of-training",
        300,
        disturb.training_killed,
        "`train` and `Bundle.save` get SIGKILL at a random moment, with another bundle in the place and without.",
    ),
    Kind(
        "faults-at-calls",
        500,
        disturb.faults_at_calls,
        "A library in front of the C library counts the calls that touch the folder: open, write, fsync, rename, "
        "mkdir, unlink. Then each fails in turn, in scoring and in saving: input/output error, disk full (and it "
        "stays full), permission denied, or SIGKILL.",
    ),
    Kind(
        "full-disk",
        50,
        disturb.full_disk,
        "A tmpfs of 2 MB in which there is room for a random part of what is to be written, 0 to 96 kB.",
    ),
    Kind(
        "writers",
        50,
        disturb.writers,
        "Two or three scoring jobs begin in the same folder at the same time. One of them works, the others say that "
        "it does; none is mixed with another.",
    ),
    Kind(
        "growing-log",
        100,
        growing.growing,
        "While a job scores a log, the log grows at a random moment: lines arrive at the end of its file in pieces "
        "that end anywhere, a file arrives beside its files, or a longer file takes the place of its file. The scores "
        "are those of the log before or after, or the job says that the log has changed and replaces nothing; run "
        "again, they are those of the whole log.",
        at_a_time=100,
    ),
    Kind(
        "flips-in-scores",
        1000,
        flips.scores,
        "One bit is turned anywhere in the files of a finished job, the proof included. `verify` refuses every one.",
    ),
    Kind(
        "flips-in-bundles",
        1000,
        flips.bundles,
        "One bit is turned anywhere in the files of a bundle. Loading refuses every one, before anything is parsed.",
    ),
    Kind(
        "hostile-bundles",
        123,
        hostile_bundles,
        "Bundles made by somebody who knows the format and recomputes every digest: names that lead out, links, pipes, "
        "bombs, deep and endless JSON, pickles in place of arrays, shapes without data, classes that are not public, "
        "boosters that are no trees, indices beyond the memory. Each is loaded in a process that listens to Python's "
        "audit events: it ends in an error of ours, no code runs, nothing is written, memory and time stay small.",
        at_a_time=123,
    ),
    Kind(
        "hostile-models",
        17,
        hostile_models,
        "Models in an MLflow store whose description names another loader, code, a pickle, another flavor, data "
        "elsewhere, or is no description. Loaded by their URI, under the same watch.",
    ),
    Kind(
        "tracking-at-once",
        32,
        tracking.at_once,
        "Processes that have imported everything call `track` at the same moment, on a SQLite store that does not "
        "exist yet. Each gets a model of its own that is ready, and every run is finished.",
    ),
    Kind(
        "kills-of-tracking",
        50,
        tracking.killed,
        "`track` gets SIGKILL at a random moment, five processes at a time. The next process that tracks closes their "
        "runs as killed and their models as failed; nothing stays open.",
    ),
    Kind(
        "dying-server",
        60,
        tracking.dying,
        "A real `mlflow server` on loopback, behind a door that shuts for ever after any number of requests, the last "
        "of them heard by the server or not. `track` and `register` end in a `DataError`; run again, they end well, "
        "every model that is called ready loads, and there is one version with its alias, not two.",
    ),
    Kind(
        "personal-data",
        30,
        personal_data,
        "Names, phones, mails and ids are planted in a log, which then goes the whole way: checked, backtested, "
        "trained, tracked, registered, scored by Python and by command, verified, monitored, and mistaken in twenty "
        "ways. Every place that was written to is searched, also inside archives, Parquet, pictures, base64 and "
        "hexadecimal. Intended, and left out: the ids in the scores, in a recommender (which has to know its "
        "customers) and in a prepared log.",
    ),
)
