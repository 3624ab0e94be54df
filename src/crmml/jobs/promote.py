"""`promote`: the challenger becomes champion only where it is proven to be better."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd
from sklearn.base import clone

from crmml.bundle import Bundle
from crmml.data.log import InteractionLog
from crmml.data.time import AsOf, moments_of
from crmml.errors import ConfigError, DataError
from crmml.features.cutoffs import require_purged
from crmml.features.datasets import build_dataset
from crmml.features.feature_set import FeatureSet
from crmml.jobs.backtest import K, backtest
from crmml.jobs.registry import Aliases, Registry, checked_name
from crmml.jobs.rolling import model_score
from crmml.jobs.tracking import load_bundle
from crmml.report.backtest import BacktestReport
from crmml.report.promotion import Judgement, Promotion, judge

# What a version says of the comparison that it won or lost, among its tags.
VERDICT = "crmml.promotion"


def promote(
    name: str,
    log: InteractionLog,
    as_of: AsOf | Sequence[AsOf],
    *,
    refit: bool = True,
    again: bool = False,
    tracking_uri: str | None = None,
    progress: bool = True,
) -> Promotion:
    """Compare the challenger of a name with its champion, and make it champion where it is proven to be better.

    Proven: the 95 % interval of the mean difference on the deciding measure (AUC, normalised Gini, NDCG) lies above
    0, the challenger is ahead on two thirds of the cutoffs, and the error of the numbers themselves (Brier score, mean
    absolute error) is not proven to be larger. A challenger that is no better passes in at most 2.5 % of all cases;
    so each further try at other cutoffs is one more chance to pass by luck. The same inputs give the same answer.

    A version that was champion and was rolled back stays where it is, also where it is proven to be better: what made
    somebody roll it back is not in these measures. A bundle that is trained anew is another version.

    The champion until then is kept as `previous`, to which `rollback` goes back. At every moment `champion` points at
    one of the two. What was found is written to the challenger's version, as its tag `crmml.promotion`.

    Args:
        name: of the registered model, with a champion and a challenger: see `register`.
        log: the interactions. Each bundle cleans them as in its training.
        as_of: the rolling cutoffs, as for `backtest`, of which at least three can be measured.
        refit: True compares the two recipes: at every cutoff both are trained anew on the cutoffs before it. False
            compares the bundles as they were fitted (churn, repurchase, value), so that a recipe can also be compared
            with itself, trained later; then every cutoff has to lie gap + horizon after all training cutoffs of both.
        again: also promote a version that was rolled back before.
        tracking_uri: the MLflow store; the default is that of `track`.
        progress: show a progress bar, where standard error is a terminal.

    Returns:
        A Promotion: printable; `moved` says whether the challenger is champion now.

    Raises:
        ConfigError: the two predict different things, or are the same recipe; a wrong argument.
        LeakageError: a horizon runs past the end of the log; a cutoff that one of them was trained with.
        DataError: no champion or no challenger; fewer than three cutoffs; different customers or labels; the aliases
            were moved by somebody else in the meantime; the store fails.
        BundleError: one of them is damaged.
        MissingExtraError: mlflow is not installed.

    >>> import tempfile, crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> churn = cm.Churn("60d", event_type="purchase", active_within="180d")
    >>> store = f"sqlite:///{tempfile.mkdtemp()}/mlflow.db"
    >>> for model in (cm.ChurnClassifier(num_iterations=20), cm.ChurnClassifier(num_iterations=21)):
    ...     bundle = cm.train(log, "rfm", churn, model, "2024-01-01")
    ...     print(cm.register(bundle, "churn", tracking_uri=store))
    models:/churn/1
    models:/churn/2
    >>> dates = cm.cutoffs("2024-01-01", "2024-07-01", every="60d")
    >>> promotion = cm.promote("churn", log, dates, tracking_uri=store)
    >>> print(str(promotion).splitlines()[0])
    churn: version 1 stays champion: version 2 is not proven to be better.
    """
    if not isinstance(log, InteractionLog):
        raise ConfigError(f"promote: log is {log!r}. Use InteractionLog(source, customer_id=..., ...).")
    for key, value in (("refit", refit), ("again", again)):
        if not isinstance(value, bool):
            raise ConfigError(f"promote: {key} is {value!r}. Use True or False.")
    found = Contenders.of(name, tracking_uri)
    bundles, task = found.bundles, _task_of(found.bundles, refit=refit)
    logs = found.cleaned(log)
    reports: dict[str, BacktestReport] = {}
    if refit:
        reports = {side: _backtested(bundles[side], logs[side], as_of, progress) for side in bundles}
        said = {side: report.predictions for side, report in reports.items()}
    else:
        said = {side: _as_fitted(bundles[side], logs[side], as_of) for side in bundles}
    judgement = judge(said["champion"], said["challenger"], task, K)
    rolled_back = _write(found, judgement, again=again)
    return Promotion(
        name=name,
        champion=found.versions["champion"],
        challenger=found.versions["challenger"],
        moved=judgement.better and rolled_back is None,
        judgement=judgement,
        reports=reports,
        rolled_back=rolled_back,
    )


@dataclass(frozen=True)
class Contenders:
    """The champion and the challenger of a name, by "champion" and "challenger".

    registry: where they stand.
    versions: which versions they are.
    bundles: what they hold.
    """

    registry: Registry
    versions: dict[str, str]
    bundles: dict[str, Bundle]

    @classmethod
    def of(cls, name: str, tracking_uri: str | None) -> Self:
        """Those of a name; raises a DataError where one of them is missing."""
        checked_name("promote", name)
        registry = Registry.open("promote", name, tracking_uri)
        versions = _two(name, registry.aliases())
        bundles = {
            side: load_bundle(f"models:/{name}/{versions[side]}", tracking_uri=tracking_uri) for side in versions
        }
        return cls(registry, versions, bundles)

    def cleaned(self, log: InteractionLog) -> dict[str, InteractionLog]:
        """The log of each, cleaned as in its training."""
        return {side: _cleaned(bundle, log, side) for side, bundle in self.bundles.items()}


def _two(name: str, aliases: Aliases) -> dict[str, str]:
    """The versions of both sides."""
    champion, challenger = aliases.champion, aliases.challenger
    if champion is None or challenger is None:
        missing = "champion" if champion is None else "challenger"
        raise DataError(
            f"promote: {name!r} has no {missing}, so there is nothing to compare. "
            f"Use register(bundle, {name!r}, alias={missing!r})."
        )
    return {"champion": champion, "challenger": challenger}


def _task_of(bundles: dict[str, Bundle], *, refit: bool) -> str:
    """The task of both; what cannot be compared is refused before the long work starts."""
    champion, challenger = bundles["champion"], bundles["challenger"]
    if champion.target is None or challenger.target is None:
        raise ConfigError(
            "promote: segments predict nothing that could be measured. Look at them, and use register(bundle, name, "
            "alias='champion')."
        )
    if champion.target != challenger.target:
        raise ConfigError(
            f"promote: the champion predicts {champion.target!r}, the challenger {challenger.target!r}: there is no "
            "common measure. Register the challenger under another name."
        )
    if not refit and champion.task == "items":
        raise ConfigError("promote: refit=False is not for recommenders, which learn who is asked. Use refit=True.")
    if refit and _recipe(champion) == _recipe(challenger):
        raise ConfigError(
            "promote: champion and challenger are one recipe, so that trained anew at the same cutoffs they are equal. "
            "To compare them as fitted, use refit=False, with cutoffs after the training of both."
        )
    return str(champion.target.task)


def _recipe(bundle: Bundle) -> tuple[str, ...]:
    return repr(bundle.features), repr(clone(bundle.model)), repr(bundle.cleaning)


def _cleaned(bundle: Bundle, log: InteractionLog, side: str) -> InteractionLog:
    if log.cleaning == bundle.cleaning:
        return log
    if not log.cleaning:
        return log.clean(*bundle.cleaning)
    raise ConfigError(
        f"promote: the log was cleaned by {list(log.cleaning)}, but the training log of the {side} by "
        f"{list(bundle.cleaning)}. Give the log without cleaning: each bundle cleans it as in its training."
    )


def _backtested(bundle: Bundle, log: InteractionLog, as_of: AsOf | Sequence[AsOf], progress: bool) -> BacktestReport:
    assert bundle.target is not None  # noqa: S101 (_task_of has seen to it)
    return backtest(log, bundle.features, bundle.target, clone(bundle.model), as_of, progress=progress)


def _as_fitted(bundle: Bundle, log: InteractionLog, as_of: AsOf | Sequence[AsOf]) -> pd.DataFrame:
    """What a fitted bundle says as of cutoffs that it cannot have learned from, beside what came."""
    features, target = bundle.features, bundle.target
    assert isinstance(features, FeatureSet)  # noqa: S101 (_task_of has seen to it)
    assert target is not None  # noqa: S101
    cutoffs = moments_of(as_of)
    for cutoff in cutoffs:
        require_purged(bundle.training_cutoffs, cutoff, target)
    X, y = build_dataset(log, features, target, cutoffs)
    score = model_score(bundle.model, X, target)
    keys: Any = X.index.to_frame(index=False)
    return pd.DataFrame(keys.assign(y=y.to_numpy(), score=score, probability=score))


def _write(found: Contenders, judgement: Judgement, *, again: bool) -> str | None:
    """Move the alias where the judgement says so, and write down why; only if nobody else has moved it since.

    Returns:
        The day on which a challenger that is better was rolled back, where that keeps it from becoming champion.
    """
    registry, (champion, challenger) = found.registry, (found.versions[side] for side in ("champion", "challenger"))
    with registry.changing() as (client, now):
        if (now.champion, now.challenger) != (champion, challenger):
            raise DataError(
                f"promote: the aliases of {registry.name!r} were moved while the models were compared: champion and "
                f"challenger were versions {champion} and {challenger}, and are {now.champion} and {now.challenger}. "
                "Nothing was changed. Run it again."
            )
        stays = registry.rolled_back(client, challenger) if judgement.better and not again else None
        moved = judgement.better and stays is None
        why = "" if stays is None else f", rolled back on {stays}"
        text = f"{'promoted' if moved else 'refused'} against version {champion}{why}: {judgement}"
        client.set_model_version_tag(registry.name, challenger, VERDICT, text)
        if moved:
            registry.move(client, now, challenger)
        return stays
