"""Customer insight from raw interaction logs: churn, lifetime value, segments, recommendations.

Importing this package imports nothing else: every public name is loaded when it is first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# The one table of public names: home module -> the names that live there.
_HOMES: dict[str, tuple[str, ...]] = {
    "errors": (
        "BundleError",
        "ConfigError",
        "CrmmlError",
        "DataError",
        "LeakageError",
        "MissingExtraError",
        "SchemaError",
    ),
    "yaml_text": ("load_yaml",),
    "spec": ("dump_yaml", "from_data", "load_config", "to_data"),
    "data.log": ("InteractionLog",),
    "data.prepared": ("open_prepared",),
    "data.roles": ("Constant", "Roles"),
    "data.cleaning": ("Drop", "DropDuplicates", "DropMissing", "Keep", "KeepBetween"),
    "data.simulate": ("simulate_log",),
    "data.spark_engine": ("SparkEngine",),
    "features.aggregates": (
        "Count",
        "Latest",
        "Max",
        "Mean",
        "Min",
        "NUnique",
        "Recency",
        "Share",
        "Std",
        "Sum",
        "Tenure",
    ),
    "features.baskets": ("Basket", "ConversionRate", "Ratio", "ReturnRate"),
    "features.distribution": ("Entropy", "First", "Median", "Quantile", "RepeatShare", "TopShare", "TopValue"),
    "features.change": ("Change", "Trend"),
    "features.clocks": ("CutoffCalendar", "HourShare", "WeekdayShare"),
    "features.decay": ("DecayedSum",),
    "features.feature_set": ("FeatureSet",),
    "features.rhythm": ("DaysActive", "Gap", "Sessions", "Streak", "TimeTo"),
    "features.vectors": ("MeanVector",),
    "features.contracts": ("contracts", "survivors"),
    "features.subscription": ("Subscribers", "SubscriptionChurn"),
    "features.transactions": ("discrete_transactions", "transactions"),
    "features.targets": ("Churn", "NextItems", "Population", "Repurchase", "Rule", "Spend"),
    "features.interactions": ("ItemWeights", "build_interactions", "build_next_items"),
    "features.cutoffs": ("cutoffs",),
    "features.datasets": ("Dataset", "build_dataset", "build_features"),
    "features.outputs": ("categories_of",),
    "models.btyd.beta_geometric": ("BGNBD", "MBGNBD"),
    "models.btyd.contractual": ("ShiftedBetaGeometric",),
    "models.btyd.discrete": ("BetaGeometricBetaBinomial",),
    "models.btyd.gamma_gamma": ("GammaGamma",),
    "models.btyd.pareto": ("ParetoNBD",),
    "models.churn": ("ChurnClassifier",),
    "models.value": ("LifetimeValueRegressor",),
    "models.rfm": ("RFMSegmenter",),
    "models.segments": ("BehaviourSegmenter",),
    "models.tiers": ("ValueTiers",),
    "models.suggested": ("SuggestedSegments",),
    "models.lookalikes": ("Lookalikes",),
    "models.hidden_seeds": ("HiddenSeeds", "hidden_seed_recall"),
    "recommend.matrix": ("Interactions",),
    "recommend.popularity": ("Popularity",),
    "recommend.content": ("ContentItems",),
    "recommend.sequential": ("MarkovNext", "RepeatPurchase"),
    "recommend.splits": ("Split",),
    "recommend.two_stage": ("TwoStage",),
    "recommend.als": ("ALS",),
    "recommend.bpr": ("BPR",),
    "recommend.ease": ("EASE",),
    "recommend.spectral": ("SpectralFilter",),
    "recommend.neighbors": ("ItemKNN", "UserKNN"),
    "recommend.on_spark": ("fit_on_spark",),
    "recommend.fallback": ("Fallback",),
    "recommend.next_best_offer": ("NextBestOffer",),
    "recommend.reliability": ("Reliability",),
    "recommend.shelf": ("diversify", "limit_per_group"),
    "recommend.margin": ("margin_tradeoff", "rank_by_margin"),
    "insight.baskets": ("Baskets",),
    "insight.rules": ("AssociationRules", "association_rules"),
    "insight.conditions": ("Above", "AtLeast", "AtMost", "Below", "Between", "Missing", "Not"),
    "insight.tags": ("Tag", "TagRule", "TagSet"),
    "insight.lifecycle": ("Lifecycle", "build_lifecycle"),
    "insight.tag_history": ("TagReport", "tag_history", "tag_report"),
    "insight.profiles": ("SegmentProfiles", "profile_segments"),
    "insight.assumptions": ("Assumption",),
    "insight.wallet": ("ShareOfWallet", "share_of_wallet"),
    "insight.profit": ("ProfitContribution", "profit_contribution"),
    "insight.migrations": ("Migrations", "migrations"),
    "insight.dwell": ("DwellTimes", "dwell_times"),
    "insight.drift": ("SegmentDrift", "segment_drift"),
    "insight.cross_sell": ("CrossSell", "cross_sell"),
    "action.coupons": ("Coupon", "CouponPlan", "plan_coupons"),
    "bundle": ("Bundle",),
    "report.backtest": ("BacktestReport",),
    "report.early_warning": ("EarlyWarning",),
    "report.monitor": ("MonitorReport",),
    "report.lifetimes": ("frequency_recency_figure",),
    "report.migrations": ("migration_figure",),
    "report.profiles": ("profile_figure",),
    "report.promotion": ("Promotion",),
    "report.recommendations": ("RecommendationReport",),
    "report.segment_choice": ("SegmentChoice",),
    "report.selection": ("Selection",),
    "jobs.choose_segments": ("choose_segments",),
    "jobs.tags": ("build_p_alive", "build_tags"),
    "jobs.train": ("train",),
    "jobs.backtest": ("backtest",),
    "jobs.evaluate": ("evaluate_recommenders",),
    "jobs.realised": ("realised",),
    "jobs.monitor": ("monitor",),
    "jobs.early_warning": ("early_warning",),
    "jobs.select": ("select_features",),
    "jobs.tune": ("Tuning", "tune"),
    "jobs.promote": ("promote",),
    "jobs.registry": ("register", "rollback"),
    "jobs.tracking": ("load_bundle", "track"),
    "jobs.score": ("ScoringPlan", "plan_score", "score"),
    "jobs.verify": ("Verified", "verify"),
}
# Modules that are public under their own short name.
_MODULES: dict[str, str] = {
    "datasets": "data.datasets",
    "metrics": "metrics",
    "presets": "features.presets",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, *_MODULES])  # noqa: PLE0605  (computed, so that there is one table)


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"{__name__}.{_MODULES[name]}")
    else:
        raise AttributeError(f"module 'crmml' has no attribute {name!r}.{_hint(name)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def _hint(name: str) -> str:
    from crmml.errors import did_you_mean

    return did_you_mean(name, __all__)
