"""`tune`: parameters of a model chosen over cutoffs, and judged on cutoffs that did not choose them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from crmml.data.log import InteractionLog
from crmml.data.time import AsOf, moments_of, spoken
from crmml.errors import ConfigError, DataError, MissingExtraError, did_you_mean
from crmml.features.datasets import build_dataset
from crmml.features.presets import as_feature_set
from crmml.features.targets import Target
from crmml.jobs.parts import Features, check_parts, progress_bar, to_fit
from crmml.jobs.rolling import Split, check_rows, model_score, rolling_plan
from crmml.report.measures import Measure, measures_of

if TYPE_CHECKING:
    from optuna.trial import Trial

# What is tried where nothing is asked for: the size of the trees, and how they learn.
SPACE: dict[str, tuple[float, float]] = {
    "num_iterations": (30, 400),
    "num_leaves": (3, 31),
    "learning_rate": (0.01, 0.2),
    "min_data_in_leaf": (20, 500),
}
_RATIO = 10  # a range this wide is searched on a logarithmic scale


@dataclass(frozen=True, eq=False, repr=False)
class Tuning:
    """What `tune` found.

    Attributes:
        model: the unfitted model with the best parameters, ready for `backtest` and `train`.
        parameters: those parameters by name.
        trials: a row per trial, best first: `trial` (0 is the model as given), one column per parameter, `mean` and
            `std` of the deciding metric over the cutoffs that chose.
        measure: the metric that decides.
        held_out: the latest hold-out cutoff, which chose nothing.
        before, after: the metric there, of the model as given and of the tuned one.

    >>> trials = pd.DataFrame({"trial": [1, 0], "num_leaves": [3, 7], "mean": [0.81, 0.79], "std": [0.01, 0.02]})
    >>> at, model = pd.Timestamp("2024-05-01", tz="UTC"), "ChurnClassifier(num_leaves=3)"
    >>> print(Tuning(model, {"num_leaves": 3}, trials, measures_of("binary")[0], at, before=0.78, after=0.77))
    Tuned over 2 trials: num_leaves=3
      where it was chosen    AUC 0.790 -> 0.810, which flatters
      held out, 2024-05-01   AUC 0.780 -> 0.770, no better: keep the model as it was
    """

    model: Any
    parameters: Mapping[str, Any]
    trials: pd.DataFrame
    measure: Measure
    held_out: pd.Timestamp
    before: float
    after: float

    @property
    def helped(self) -> bool:
        """Whether the tuned model is better on the cutoff that chose nothing."""
        return self.measure.is_better(self.after, self.before)

    def __str__(self) -> str:
        chosen = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items()) or "nothing changed"
        text, label = self.measure.text, self.measure.label
        first, best = self.trials.set_index("trial")["mean"][0], self.trials["mean"].iloc[0]
        verdict = "better" if self.helped else "no better: keep the model as it was"
        return (
            f"Tuned over {len(self.trials)} trials: {chosen}\n"
            f"  where it was chosen    {label} {text(first)} -> {text(best)}, which flatters\n"
            f"  held out, {spoken(self.held_out)}   {label} {text(self.before)} -> {text(self.after)}, {verdict}"
        )

    def __repr__(self) -> str:
        return f"Tuning(parameters={dict(self.parameters)!r}, before={self.before!r}, after={self.after!r})"


def tune(
    log: InteractionLog,
    features: Features,
    target: Target,
    model: Any,
    as_of: AsOf | Sequence[AsOf],
    *,
    space: Mapping[str, Sequence[Any]] | None = None,
    trials: int = 30,
    seed: int = 0,
    progress: bool = True,
) -> Tuning:
    """Search the parameters of a model by what they do on rolling cutoffs, never on random rows.

    Every trial is trained and measured as in a backtest, on all hold-out cutoffs but the latest; that one is used
    once, at the end, to say whether tuning helped. The first trial is the model as given. Trials that fall behind
    the median after a cutoff are given up. The search is the tree-structured Parzen estimator of J. Bergstra et al.,
    Algorithms for hyper-parameter optimization (2011), as Optuna has it.

    Args:
        log: the interactions.
        features: a FeatureSet, a list of aggregates or the name of a preset.
        target: what is predicted: Churn, Repurchase, Spend.
        model: an unfitted estimator; it is cloned and never changed.
        as_of: the cutoffs; the hold-outs among them have to be two or more.
        space: parameter by name: (low, high) for a range, whole where both ends are, logarithmic where `high` is ten
            times `low` or more; or a list of three or more choices, or of texts, bools or None. By default the size
            of the trees and how they learn.
        trials: how many to try, the model as given among them.
        seed: of the search: the same seed, the same result.
        progress: show a progress bar, where standard error is a terminal.

    Returns:
        A Tuning; `print` it.

    Raises:
        ConfigError: a parameter that the model has not, a range that is none; parts that do not belong together.
        LeakageError: as `backtest`.
        DataError: a hold-out cannot be measured.
        MissingExtraError: Optuna is not installed: pip install "crmml[tune]".

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> churn = cm.Churn("60d", event_type="purchase", active_within="180d")
    >>> cutoffs = cm.cutoffs("2024-01-01", "2024-05-30", every="30d")
    >>> space = {"num_iterations": (5, 50), "num_leaves": (2, 8)}
    >>> found = cm.tune(log, "rfm", churn, cm.ChurnClassifier(), cutoffs, space=space, trials=3)
    >>> sorted(found.parameters), len(found.trials)
    (['num_iterations', 'num_leaves'], 3)
    """
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("tune()", "optuna", extra="tune") from None
    task = check_parts("tune", log, features, target, model)
    if task not in ("binary", "value"):
        raise ConfigError(f"tune: {target!r} is not predicted from features. Use for example Churn(horizon='60d').")
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 2:
        raise ConfigError(f"tune: trials is {trials!r}. Use a whole number of 2 or more, such as trials=30.")
    asked = _space(model, space)
    splits = _splits(log, features, target, as_of)
    measure = measures_of(task)[0]
    seeded = optuna.samplers.TPESampler(seed=seed)
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(sampler=seeded, pruner=optuna.pruners.MedianPruner(n_warmup_steps=1))
        with progress_bar("tune", trials, progress=progress) as bar:

            def step(*_: Any) -> None:
                bar.update()

            first = [_measured(model, split, target) for split in splits[:-1]]
            step()
            study.optimize(_Objective(splits[:-1], asked, model, target), trials - 1, callbacks=[step])
    finally:
        optuna.logging.set_verbosity(level)
    table, best = _table(study, measure, first, {name: getattr(model, name) for name in asked})
    tuned, last = clone(model).set_params(**best), splits[-1]
    before, after = (_measured(one, last, target) for one in (model, tuned))
    return Tuning(tuned, best, table, measure, last.holdout, before, after)


class _Objective:
    """The cost of a model with the parameters of a trial: its mean over the cutoffs that choose."""

    def __init__(self, splits: Sequence[Split], space: Mapping[str, Sequence[Any]], model: Any, target: Target) -> None:
        self._splits, self._space, self._model, self._target = splits, space, model, target

    def __call__(self, trial: "Trial") -> float:
        import optuna

        chosen = {name: _suggested(trial, name, values) for name, values in self._space.items()}
        model = clone(self._model).set_params(**chosen)
        measure = measures_of(self._target.task)[0]
        values: list[float] = []
        for step, split in enumerate(self._splits):
            values.append(_measured(model, split, self._target))
            trial.report(measure.cost(float(np.mean(values))), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        trial.set_user_attr("values", values)
        return measure.cost(float(np.mean(values)))


def _measured(model: Any, split: Split, target: Target) -> float:
    """The deciding metric of one hold-out, after training on the cutoffs before it."""
    fitted = to_fit(model, target).fit(split.X_train, split.y_train)
    of = measures_of(target.task)[0].of
    assert of is not None  # noqa: S101 (lists are refused before)
    return of(split.y_test.to_numpy(np.float64), model_score(fitted, split.X_test, target))


def _splits(log: InteractionLog, features: Any, target: Target, as_of: Any) -> list[Split]:
    cutoffs = moments_of(as_of)
    plan = rolling_plan(cutoffs, target, "tune")
    if len(plan) < 2:
        raise ConfigError(
            f"tune: the cutoffs give {len(plan)} hold-out, {spoken(plan[0][0])}, but one has to choose and a later one "
            f"to judge. Add a later cutoff, for example {spoken(plan[0][0] + target.reach)}."
        )
    X, y = build_dataset(log, as_feature_set(features, log), target, cutoffs)
    splits = [Split(X, y, holdout, training) for holdout, training in plan]
    for split in splits:
        try:
            check_rows(split, target)
        except DataError as error:
            raise DataError(f"tune: {spoken(split.holdout)}: {error} Use other cutoffs.") from None
    return splits


def _space(model: Any, space: Mapping[str, Sequence[Any]] | None) -> dict[str, Sequence[Any]]:
    """The parameters to search, each known to the model and each a range or some choices."""
    known = model.get_params()
    if space is None:
        space = {name: ends for name, ends in SPACE.items() if name in known}
    if not isinstance(space, Mapping) or not space:
        raise ConfigError(f"tune: space is {space!r}. Use for example space={{'num_leaves': (3, 31)}}.")
    for name, values in space.items():
        if name not in known:
            raise ConfigError(
                f"tune: {type(model).__name__} has no parameter {name!r}.{did_you_mean(str(name), list(known))} "
                f"It has: {', '.join(known)}."
            )
        if isinstance(values, str) or not isinstance(values, Sequence) or len(values) < 2:
            raise ConfigError(f"tune: {name} is {values!r}. Use a range such as (3, 31), or a list of choices.")
        if _is_range(values) and not values[0] < values[1]:
            raise ConfigError(f"tune: {name} ranges from {values[0]!r} to {values[1]!r}. Give the lower end first.")
    return dict(space)


def _is_range(values: Sequence[Any]) -> bool:
    return len(values) == 2 and all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)


def _suggested(trial: "Trial", name: str, values: Sequence[Any]) -> Any:
    if not _is_range(values):
        return trial.suggest_categorical(name, list(values))
    low, high = values
    wide = low > 0 and high >= _RATIO * low
    if all(isinstance(one, int) for one in values):
        return trial.suggest_int(name, low, high, log=wide)
    return trial.suggest_float(name, low, high, log=wide)


def _table(
    study: Any, measure: Measure, first: Sequence[float], given: dict[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The trials that were measured on all cutoffs, best first, and the parameters of the best; of two, the earlier."""
    found = [(0, given, first)]
    found += [(it.number + 1, it.params, it.user_attrs["values"]) for it in study.trials if "values" in it.user_attrs]
    found.sort(key=lambda trial: measure.cost(float(np.mean(trial[2]))))
    lines = []
    for number, parameters, values in found:
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
        lines.append({"trial": number, **parameters, "mean": float(np.mean(values)), "std": spread})
    return pd.DataFrame(lines), dict(found[0][1])
