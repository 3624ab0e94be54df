"""A log that grows while it is scored: the scores are of the log before or after, never of something in between."""

import random
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice, product
from pathlib import Path
from typing import NamedTuple

import pandas as pd

import crmml as cm
from tests.torture.disturb import timed
from tests.torture.nursery import Job
from tests.torture.tasks import FORMS, make_log
from tests.torture.world import Tally, World, content_of, digest_of

PARTS = (1, 3)


class Undisturbed(NamedTuple):
    """What jobs leave while nothing grows: how long one takes, what a reader may find, the digest of all at the end."""

    seconds: float
    contents: tuple[str, ...]
    digest: str


def growing(world: World, n: int, start: int = 0) -> Tally:
    """So many jobs during which lines, a file or a longer file arrive at a random moment."""
    draw = random.Random(start)
    with timed("a log that grows while it is scored") as tally:
        ends = undisturbed(world, islice(product(FORMS, PARTS), n))
        refused = 0
        for form, parts in islice(cycle(ends), n):
            end = ends[form, parts]
            kind, problems = one(world, form, parts, draw.uniform(0, 1.2 * end.seconds), end)
            refused += kind == "refused"
            tally.count(problems)
        tally.note = f"noticed by the job in {refused}, after or before it in the others"
    return tally


def undisturbed(world: World, every: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Undisturbed]:
    """By form and number of parts: one job before the log grows, and one after."""
    ends = {}
    for form, parts in every:
        with _place(world, form) as place:
            asked, out = (str(world.root), form, str(place), parts), place / "out"
            seconds = world.nursery.one("score_grown", *asked).seconds
            less = content_of(out)
            world.nursery.value("grow", form, str(place), 0)
            world.nursery.value("score_grown", *asked)
            assert less != content_of(out)
            ends[form, parts] = Undisturbed(seconds, (less, content_of(out)), digest_of(out))
    return ends


@contextmanager
def _place(world: World, form: str) -> Iterator[Path]:
    """A folder with a log of this form that has yet to grow."""
    place = world.root / "try"
    make_log(str(world.root), form, str(place))
    yield place
    shutil.rmtree(place)


def one(world: World, form: str, parts: int, moment: float, end: Undisturbed) -> tuple[str, dict[str, str]]:
    """One job during which the log grows: how it ended, and the promises that were broken."""
    with _place(world, form) as place:
        asked, out = (str(world.root), form, str(place), parts), place / "out"
        job, grower = world.nursery.run(
            Job("attempt", ("score_grown", *asked)), Job("grow", (form, str(place), moment))
        )
        assert grower.status == 0, grower
        kind, said = job.answer or ("ended", f"{job.status}: {job.output}")
        problems = {} if kind in ("done", "refused") else {"survived": f"{form}: {kind}: {said}"}
        if content_of(out) not in (end.contents if kind == "done" else ("",)):
            problems["kept"] = f"{form}: {kind}, but there are other scores than of the log before or after"
        again = world.nursery.one("attempt", "score_grown", *asked)
        if again.status or again.answer[0] != "done":
            return kind, problems | {"survived": f"{form}: run again: {again}"}
        if digest_of(out) != end.digest or world.left(out):
            problems["equal"] = f"{form}: other bytes, or left: {world.left(out)}"
        if pd.read_parquet(cm.verify(out).path).duplicated(["customer_id", "as_of"]).any():
            problems["single"] = f"{form}: rows twice"
        return kind, problems
