"""`score`: the batch job that writes the scores of a log as Parquet, part by part, whole or not at all."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crmml import __version__
from crmml.bundle import Bundle
from crmml.bundle.format import versions
from crmml.data.counting import count_distinct
from crmml.data.engine import VERSION, gone_file
from crmml.data.files import as_path, lock, remove_leftovers, remove_tree, replace_path, write_bytes
from crmml.data.log import InteractionLog
from crmml.data.manifest import identity_of
from crmml.data.prepared import source_digests
from crmml.data.spark_engine import SparkEngine
from crmml.data.time import AsOf, moments_of, spoken
from crmml.errors import ConfigError, DataError
from crmml.jobs.part_files import LOCK, PARTS, SCORES, SUCCESS, Parts, check_replaceable, proof_of
from crmml.jobs.part_rows import ListRows, Lists, TableRows, checked_parts
from crmml.jobs.parts import progress_bar
from crmml.jobs.spark_rows import SparkLists, SparkRows
from crmml.jobs.tracking import load_bundle
from crmml.jobs.verify import read_proof, verify
from crmml.spec import completed, to_data


def score(
    bundle: Bundle | str | Path,
    log: InteractionLog,
    as_of: AsOf | Sequence[AsOf],
    out: str | Path,
    *,
    k: int = 10,
    details: bool = True,
    parts: int | None = None,
    engine: SparkEngine | None = None,
    progress: bool = True,
    tracking_uri: str | None = None,
) -> Path:
    """Score the customers of a log with a bundle, and write them to `out/scores.parquet`.

    The customers are scored in parts, so that memory does not grow with their number. Each part is written to a folder
    beside, read back and noted; a job that was killed and is started again goes on with the parts that are missing.
    Once there is a score for everybody whom the log says to score, all parts take the place of the earlier scores in
    one step, and `out/_SUCCESS.json` is written last. A job that finds that file may trust the scores; there is none
    beside scores of another job. The same inputs give the same files.

    Args:
        bundle: a Bundle, the path of its folder, or the URI that `track` returned.
        log: the interactions.
        as_of: the cutoffs.
        out: the folder to write to; made where it is absent.
        k: length of the recommended lists.
        details: also write what the model says besides the score, such as reasons.
        parts: into how many parts the customers are divided; by default as many as memory asks for, and one for few
            customers. It changes no score.
        engine: where features are built and scored, or lists are made: `SparkEngine(session)`, or this machine by
            default. Spark's workers have to have crmml installed, and to see `out` and the files of the log under the
            same paths. The scores are the same but for the last digits.
        progress: show a progress bar, where standard error is a terminal.
        tracking_uri: the MLflow store, for a URI; the default is that of `track`.

    Returns:
        The path of the scores: a Parquet file, or, of several parts, the folder of their files, which is read as one
        (`pd.read_parquet`). They have the columns and rows of `Bundle.score`, in its order: by customer, then cutoff;
        those of a prepared log in this order within each file. In the metadata of every file, under "crmml.":
        `model_id`, `as_of`, `fingerprint` (of the bundle, the log, the cutoffs, what was asked for and the versions),
        `target` and `part`.

    Raises:
        ConfigError: `out` cannot be written to (asked before the work starts); parts that do not fit.
        DataError: another job is writing there; the log has changed meanwhile; the disk failed; values that cannot be
            used.
        BundleError, SchemaError: the bundle is damaged, the log lacks a column.

    >>> import pandas as pd, tempfile, crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> bundle = cm.train(log, "rfm", None, cm.RFMSegmenter(), "2024-06-01")
    >>> path = cm.score(bundle, log, "2024-09-01", out=tempfile.mkdtemp())
    >>> pd.read_parquet(path).columns.tolist()
    ['customer_id', 'as_of', 'segment', 'model_id']
    """
    folder = as_path(out, "score: out")
    _check(log, parts, engine)
    with lock(folder / LOCK):  # which proves that the folder can be written to
        check_replaceable(folder)
        job = _Job.of(
            bundle, log, as_of, folder, k=k, details=details, parts=parts, engine=engine, tracking_uri=tracking_uri
        )
        _run(job, progress)
        return folder / SCORES


@dataclass(frozen=True)
class ScoringPlan:
    """What a scoring job would do.

    Attributes:
        path: where the scores would stand.
        customers: how many rows there would be, one for each customer and cutoff; recommenders: how many lists.
        parts, finished: into how many parts they are divided, and how many of these are there already.
        done: whether these very scores stand there, proven.
        fingerprint: of the job.

    >>> print(ScoringPlan(Path("scores.parquet"), 500_000, parts=3, finished=1, done=False, fingerprint="f" * 64))
    would write     scores.parquet
    customers       500,000
    parts           3, of which 1 finished before
    job             ffffffffffff
    """

    path: Path
    customers: int
    parts: int
    finished: int
    done: bool
    fingerprint: str

    def __str__(self) -> str:
        there = "all proven: nothing to do" if self.done else f"of which {self.finished} finished before"
        lines = [
            ("would write", self.path),
            ("customers", f"{self.customers:,}"),
            ("parts", f"{self.parts}, {there}"),
            ("job", self.fingerprint[:12]),
        ]
        return "\n".join(f"{name:<16}{value}" for name, value in lines)


def plan_score(
    bundle: Bundle | str | Path,
    log: InteractionLog,
    as_of: AsOf | Sequence[AsOf],
    out: str | Path,
    *,
    k: int = 10,
    details: bool = True,
    parts: int | None = None,
    engine: SparkEngine | None = None,
    tracking_uri: str | None = None,
) -> ScoringPlan:
    """What `score` would do with the same arguments: whom it would score, in how many parts, what is there already.

    The log is read, and nothing is written.

    Args:
        bundle, log, as_of, out, k, details, parts, engine, tracking_uri: as for `score`.

    Returns:
        A ScoringPlan; print it.

    Raises:
        As `score`, as far as can be known beforehand.

    >>> import tempfile, crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> bundle = cm.train(log, "rfm", None, cm.RFMSegmenter(), "2024-06-01")
    >>> plan = cm.plan_score(bundle, log, "2024-09-01", out="scores", parts=4)
    >>> plan.parts, plan.finished, Path("scores").exists()
    (4, 0, False)
    """
    folder = as_path(out, "score: out")
    _check(log, parts, engine)
    job = _Job.of(
        bundle, log, as_of, folder, k=k, details=details, parts=parts, engine=engine, tracking_uri=tracking_uri
    )
    return ScoringPlan(
        path=folder / SCORES,
        customers=job.rows.expected,
        parts=job.parts.of,
        finished=job.parts.of if job.done else len(job.parts.finished),
        done=job.done,
        fingerprint=job.parts.fingerprint,
    )


@dataclass(frozen=True)
class _Job:
    """All that is known before the work starts."""

    folder: Path
    log: InteractionLog
    digests: tuple[str, ...]
    model_id: str
    rows: TableRows | Lists
    parts: Parts
    metadata: dict[str, str]
    done: bool

    @classmethod
    def of(
        cls, bundle: Any, log: InteractionLog, as_of: Any, folder: Path, *, parts: int | None, **asked: Any
    ) -> "_Job":
        loaded = load_bundle(bundle, tracking_uri=asked.pop("tracking_uri"))
        cutoffs = moments_of(as_of)
        # A log of its own, which reads its facts anew: those that were read long ago may be of other files.
        cleaned = loaded.cleaned(log).clean()
        digests = _digests(cleaned)
        engine = asked.pop("engine")
        rows = _rows(loaded, cleaned, cutoffs, engine, **asked)
        of = rows.parts(parts)
        asked_for = [[spoken(at) for at in cutoffs], sorted(asked.items()), of, *([] if engine is None else ["spark"])]
        fingerprint = _fingerprint(loaded, cleaned, digests, asked_for)
        metadata = {
            "model_id": loaded.model_id,
            "as_of": json.dumps([cutoff.isoformat() for cutoff in cutoffs]),
            "fingerprint": fingerprint,
            "target": json.dumps(completed(to_data(loaded.target))),
        }
        return cls(
            folder=folder,
            log=cleaned,
            digests=digests,
            model_id=loaded.model_id,
            rows=rows,
            parts=Parts.read(folder, fingerprint, of),
            metadata=metadata,
            done=_is_done(folder, fingerprint),
        )


def _check(log: Any, parts: Any, engine: Any) -> None:
    if not isinstance(log, InteractionLog):
        raise ConfigError(f"score: log is {log!r}. Use InteractionLog(source, customer_id=..., ...).")
    checked_parts(parts)
    if engine is not None and not isinstance(engine, SparkEngine):
        raise ConfigError(f"score: engine is {engine!r}. Use SparkEngine(session), or leave it out.")


def _rows(
    bundle: Bundle, log: InteractionLog, cutoffs: Any, engine: SparkEngine | None, *, k: int, details: bool
) -> TableRows | Lists:
    """The rows of a job."""
    if bundle.task == "items":
        return ListRows(bundle, log, cutoffs, k) if engine is None else SparkLists(bundle, log, cutoffs, k, engine)
    if engine is None:
        return TableRows(bundle, log, cutoffs, details)
    return SparkRows(bundle, log, cutoffs, details, engine)


def _run(job: _Job, progress: bool) -> None:
    """Do what is left to do, and clear up behind it and behind killed jobs."""
    for name in (SCORES, SUCCESS, "writable"):
        remove_leftovers(job.folder / name)
    try:
        if not job.done:
            _work(job, progress)
    except OSError as error:
        raise DataError(
            f"{job.folder}: reading or writing failed ({error.strerror or error}). What is finished is kept: free "
            "space or repair the disk, and run it again."
        ) from error
    remove_tree(job.folder / PARTS)


def _work(job: _Job, progress: bool) -> None:
    """Write the parts that are missing; then prove and publish all of them."""
    parts = job.parts
    parts.tidy()
    with progress_bar("score", job.rows.expected, progress=progress) as bar:
        bar.unit = " rows"
        bar.update(sum(job.rows.counted(part) for part in parts.finished.values()))
        for number, rows in job.rows.rows(parts):
            part = parts.write(number, rows.assign(model_id=job.model_id), job.metadata)
            bar.update(job.rows.counted(part))
    if _digests(job.log) != job.digests:
        remove_tree(job.folder / PARTS)
        raise DataError(
            f"{job.folder}: the log has changed while it was scored; nothing was replaced. Score a copy of it, or a "
            f"prepared log: log.prepare('prepared'), then open_prepared('prepared')."
        )
    _publish(job)


def _publish(job: _Job) -> None:
    """Compare with what was counted in the log; then exchange the scores; then, last, the proof."""
    parts, path, proof = job.parts, job.folder / SCORES, job.folder / SUCCESS
    written = list(parts.finished.values())
    rows, customers = sum(part.rows for part in written), sum(part.customers for part in written)
    job.rows.check(written, path)
    files = parts.files
    if len(files) > 1 and (found := count_distinct(files, "customer_id")) != customers:
        raise DataError(
            f"{path}: {customers:,} customers were written in parts, of which {found:,} are distinct; nothing was "
            "replaced. Run it again on a log that does not change meanwhile."
        )
    digests = {parts.path(number): part.sha256 for number, part in parts.finished.items() if part.rows}
    report = {
        **job.metadata,
        **{key: json.loads(job.metadata[key]) for key in ("as_of", "target")},
        "rows": rows,
        "customers": customers,
        "distinct": rows,
        "expected": job.rows.expected,
        **({} if job.rows.left is None else {"not_eligible": job.rows.left}),
        "files": {SCORES if parts.of == 1 else f"{SCORES}/{file.name}": digests[file] for file in files},
    }
    # After the exchange, the old proof would be about other scores than those that stand beside it.
    proof.unlink(missing_ok=True)
    if not parts.published:
        replace_path(files[0] if parts.of == 1 else parts.place, path)
    write_bytes(proof, proof_of(report))


def _is_done(folder: Path, fingerprint: str) -> bool:
    """Whether these scores stand there already, proven and unchanged."""
    with suppress(ConfigError, DataError):
        return read_proof(folder)["fingerprint"] == fingerprint and verify(folder).fingerprint == fingerprint
    return False


def _digests(log: InteractionLog) -> tuple[str, ...]:
    """What the source of the log is at this moment."""
    try:
        return source_digests(log)
    except OSError as error:
        gone = Path(str(error.filename))
        raise gone_file(gone) from error


def _fingerprint(bundle: Bundle, log: InteractionLog, digests: tuple[str, ...], asked: list[Any]) -> str:
    """The digest of what is scored with what: the bundle, the log, what is asked for, the versions."""
    with_what = [__version__, VERSION, sorted(versions().items())]
    said = [bundle.model_id, identity_of(log, digests), log.facts, asked, with_what]
    return hashlib.sha256("\0".join(repr(one) for one in said).encode("utf-8", "surrogatepass")).hexdigest()
