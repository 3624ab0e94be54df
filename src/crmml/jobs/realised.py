"""`realised`: what became of earlier scores, once the horizon has passed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crmml.data.files import as_path
from crmml.data.log import InteractionLog
from crmml.data.time import moments_of, spoken
from crmml.errors import ConfigError, CrmmlError, DataError, SchemaError
from crmml.features.datasets import Dataset, build_dataset
from crmml.features.feature_set import FeatureSet
from crmml.features.targets import Target
from crmml.jobs.buyers import buyers_rules
from crmml.jobs.holdout import contender_rows
from crmml.jobs.part_files import METADATA
from crmml.jobs.rules import rule_rows
from crmml.report.backtest import BacktestReport, Skipped
from crmml.report.measures import holdout_table, measures_of
from crmml.spec import from_data

_KEYS = ["customer_id", "as_of"]
_CONTENDER = "earlier scores"


def realised(scores: pd.DataFrame | str | Path, log: InteractionLog, target: Target | None = None) -> BacktestReport:
    """Join earlier scores with what happened since, and measure them as a backtest measures a model.

    The scores were made before anybody could know the labels, so this is the only measurement that no choice of
    cutoffs, features or parameters can have flattered. The rules are those of the target, on the same customers.

    Args:
        scores: the file that `score` wrote, or a table with `customer_id`, `as_of` and the score column of the target
            (`p_churn`, `p_repurchase`; `clv` and, where there are intervals, `clv_lo` and `clv_hi`).
        log: the interactions up to now.
        target: what was predicted; a file of `score` knows it.

    Returns:
        A BacktestReport: one line per cutoff whose horizon has passed; grade, calibration, levels and coverage as
        there. Cutoffs whose horizon has not passed are in `skipped`, with the day on which they can be measured;
        customers who were scored and have no history in this log are counted in `warnings`.

    Raises:
        ConfigError: there is no such file; the target is not known, or is not of a kind that has scores per customer.
        SchemaError: a column is missing.
        DataError: the file cannot be read; a score that is missing or occurs twice; no horizon has passed yet.

    >>> import tempfile, crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> churn = cm.Churn("60d", event_type="purchase", active_within="180d")
    >>> bundle = cm.train(log, "rfm", churn, cm.ChurnClassifier(num_iterations=20), ["2023-11-01", "2024-01-01"])
    >>> file = cm.score(bundle, log, as_of=["2024-03-01", "2024-05-01"], out=tempfile.mkdtemp())
    >>> report = cm.realised(file, log)
    >>> report.stability["as_of"].dt.date.astype(str).tolist()
    ['2024-03-01', '2024-05-01']
    """
    if not isinstance(log, InteractionLog):
        raise ConfigError(f"realised: log is {log!r}. Use InteractionLog(source, customer_id=..., ...).")
    table, known = _read(scores) if isinstance(scores, str | Path) else (scores, None)
    target = _target(target, known)
    table = _checked(table, target)
    holdouts, skipped = _complete(table, log, target)
    rules = buyers_rules(log, target, holdouts)
    past = _past(log, target, holdouts)
    pieces, tables, warnings = [], [], []
    for holdout in holdouts:
        mine = table[table["as_of"] == holdout].set_index(_KEYS)
        X, y = _labels(log, target, holdout)
        both = mine.index.intersection(X.index, sort=True)
        if len(both) < len(mine):
            warnings.append(_lost(len(mine), len(both), holdout))
        rows = [_own_rows(mine.loc[both], y.loc[both], target)]
        now = Dataset(X.loc[both], y.loc[both])
        rows += rule_rows(target, now, past.get(holdout), rules.get(holdout))
        piece = pd.concat(rows, ignore_index=True)
        try:
            tables.append(holdout_table(piece, measures_of(target.task), ()))
        except DataError as error:
            skipped.append(Skipped(holdout, str(error)))
            continue
        pieces.append(piece)
    if not tables:
        reasons = " ".join(f"{spoken(one.as_of)}: {one.reason}" for one in skipped)
        raise DataError(f"realised: no cutoff of these scores can be measured. {reasons}")
    return BacktestReport(
        task=target.task,
        target=repr(target),
        model=_CONTENDER,
        table=pd.concat(tables, ignore_index=True),
        scores=pd.concat(pieces, ignore_index=True),
        training_cutoffs=(),
        skipped=tuple(skipped),
        warnings=tuple(warnings),
    )


def _read(path: str | Path) -> tuple[pd.DataFrame, Target | None]:
    """The table of a score file, and the target that stands in its metadata."""
    file = as_path(path, "realised: scores")
    if not file.exists():
        raise ConfigError(
            f"realised: there is no file {file} (looked in {Path.cwd()}). Give the file that score() wrote."
        )
    try:
        arrow = pq.read_table(file, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"realised: {file} cannot be read ({error}). Give the file that score() wrote.") from error
    stored = (arrow.schema.metadata or {}).get(f"{METADATA}target".encode())
    if stored is None:
        return arrow.to_pandas(), None
    try:
        found = from_data({"target": json.loads(stored)}, str(file))["target"]
    except (CrmmlError, ValueError) as error:
        raise DataError(f"realised: the target in {file} cannot be read ({error}). Give target=Churn(...).") from error
    return arrow.to_pandas(), found if isinstance(found, Target) else None


def _target(given: Any, known: Target | None) -> Target:
    target = known if given is None else given
    if target is None:
        raise ConfigError("realised: target is None, and the scores do not say it. Use target=Churn(horizon='60d').")
    if not isinstance(target, Target) or target.task not in ("binary", "value"):
        raise ConfigError(
            f"realised: target is {target!r}, which has no score per customer. Use for example Churn(horizon='60d')."
        )
    if given is not None and known is not None and given != known:
        raise ConfigError(f"realised: target is {given!r}, but the scores are of {known!r}. Leave target out.")
    return target


def _checked(table: Any, target: Target) -> pd.DataFrame:
    """The keys and scores, with cutoffs as moments; only customers who got a score."""
    if not isinstance(table, pd.DataFrame):
        raise ConfigError(f"realised: scores is a {type(table).__name__}. Give the path of a score file, or its table.")
    name = target.score_name
    for column in (*_KEYS, name):
        if column not in table:
            raise SchemaError(
                f"realised: the scores have no column {column!r}. They need {', '.join(_KEYS)} and {name}, "
                "as score() writes them."
            )
    if "eligible" in table:
        table = table[table["eligible"].astype(bool)]  # the others have left before, and have no score
    if not len(table):
        raise DataError("realised: the scores have no rows. Give the file that score() wrote.")
    values = table[name].to_numpy(np.float64, na_value=np.nan)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise DataError(f"realised: {name} is {values[row]} in row {row} of the scores. Leave the row out.")
    moments = {moment: moments_of(moment)[0] for moment in table["as_of"].unique()}
    table = table.assign(as_of=table["as_of"].map(moments))
    twice = table.duplicated(_KEYS)
    if twice.any():
        customer, as_of = table.loc[twice, _KEYS].iloc[0].tolist()
        raise DataError(f"realised: customer {customer!r} has two scores as of {spoken(as_of)}. Give each one once.")
    found: pd.DataFrame = table
    return found


def _complete(table: pd.DataFrame, log: InteractionLog, target: Target) -> tuple[list[pd.Timestamp], list[Skipped]]:
    """The cutoffs whose horizon has passed, and the others with the moment at which theirs will have."""
    holdouts, skipped = [], []
    for as_of in sorted(table["as_of"].unique()):
        end = as_of + target.reach
        if end <= log.complete_until:
            holdouts.append(as_of)
        else:
            reason = f"its labels are complete on {spoken(end)}, and the log ends on {spoken(log.complete_until)}."
            skipped.append(Skipped(as_of, reason))
    if not holdouts:
        raise DataError(
            f"realised: no horizon has passed yet: as of {spoken(skipped[0].as_of)} {skipped[0].reason} "
            "Come back with a later log."
        )
    return holdouts, skipped


def _features(target: Target) -> FeatureSet:
    return FeatureSet(list({rule.feature.name: rule.feature for rule in target.rules}.values()))


def _labels(log: InteractionLog, target: Target, as_of: pd.Timestamp) -> Dataset:
    return build_dataset(log, _features(target), target, [as_of])


def _lost(scored: int, found: int, as_of: pd.Timestamp) -> str:
    return (
        f"{scored - found:,} of {scored:,} customers who were scored as of {spoken(as_of)} are not in the target's "
        "population in this log: erased, merged, or another log."
    )


def _own_rows(mine: pd.DataFrame, y: pd.Series, target: Target) -> pd.DataFrame:
    score = mine[target.score_name].to_numpy(np.float64)
    more = {}
    ends = (f"{target.score_name}_lo", f"{target.score_name}_hi")
    if all(end in mine for end in ends):
        more = {"lo": mine[ends[0]].to_numpy(np.float64), "hi": mine[ends[1]].to_numpy(np.float64)}
    probability = score if target.task == "binary" else None
    return contender_rows(mine.index, (_CONTENDER, "model"), y.to_numpy(np.float64), score, probability, **more)


def _past(log: InteractionLog, target: Target, holdouts: Sequence[pd.Timestamp]) -> dict[pd.Timestamp, Dataset]:
    """One horizon before each cutoff, when the labels were complete; nothing where the log does not go back so far."""
    if target.task != "binary":
        return {}
    try:
        return {as_of: _labels(log, target, as_of - target.reach) for as_of in holdouts}
    except CrmmlError:  # a rule is compared on all cutoffs or on none
        return {}
