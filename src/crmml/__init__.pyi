# Made by `python -m tools.stubs` from the table in __init__.py.

from crmml import metrics as metrics
from crmml.action.coupons import Coupon as Coupon, CouponPlan as CouponPlan, plan_coupons as plan_coupons
from crmml.bundle import Bundle as Bundle
from crmml.data import datasets as datasets
from crmml.data.cleaning import (
    Drop as Drop,
    DropDuplicates as DropDuplicates,
    DropMissing as DropMissing,
    Keep as Keep,
    KeepBetween as KeepBetween,
)
from crmml.data.log import InteractionLog as InteractionLog
from crmml.data.prepared import open_prepared as open_prepared
from crmml.data.roles import Constant as Constant, Roles as Roles
from crmml.data.simulate import simulate_log as simulate_log
from crmml.data.spark_engine import SparkEngine as SparkEngine
from crmml.errors import (
    BundleError as BundleError,
    ConfigError as ConfigError,
    CrmmlError as CrmmlError,
    DataError as DataError,
    LeakageError as LeakageError,
    MissingExtraError as MissingExtraError,
    SchemaError as SchemaError,
)
from crmml.features import presets as presets
from crmml.features.aggregates import (
    Count as Count,
    Latest as Latest,
    Max as Max,
    Mean as Mean,
    Min as Min,
    NUnique as NUnique,
    Recency as Recency,
    Share as Share,
    Std as Std,
    Sum as Sum,
    Tenure as Tenure,
)
from crmml.features.baskets import (
    Basket as Basket,
    ConversionRate as ConversionRate,
    Ratio as Ratio,
    ReturnRate as ReturnRate,
)
from crmml.features.change import Change as Change, Trend as Trend
from crmml.features.clocks import CutoffCalendar as CutoffCalendar, HourShare as HourShare, WeekdayShare as WeekdayShare
from crmml.features.contracts import contracts as contracts, survivors as survivors
from crmml.features.cutoffs import cutoffs as cutoffs
from crmml.features.datasets import Dataset as Dataset, build_dataset as build_dataset, build_features as build_features
from crmml.features.decay import DecayedSum as DecayedSum
from crmml.features.distribution import (
    Entropy as Entropy,
    First as First,
    Median as Median,
    Quantile as Quantile,
    RepeatShare as RepeatShare,
    TopShare as TopShare,
    TopValue as TopValue,
)
from crmml.features.feature_set import FeatureSet as FeatureSet
from crmml.features.interactions import (
    ItemWeights as ItemWeights,
    build_interactions as build_interactions,
    build_next_items as build_next_items,
)
from crmml.features.outputs import categories_of as categories_of
from crmml.features.rhythm import (
    DaysActive as DaysActive,
    Gap as Gap,
    Sessions as Sessions,
    Streak as Streak,
    TimeTo as TimeTo,
)
from crmml.features.subscription import Subscribers as Subscribers, SubscriptionChurn as SubscriptionChurn
from crmml.features.targets import (
    Churn as Churn,
    NextItems as NextItems,
    Population as Population,
    Repurchase as Repurchase,
    Rule as Rule,
    Spend as Spend,
)
from crmml.features.transactions import discrete_transactions as discrete_transactions, transactions as transactions
from crmml.features.vectors import MeanVector as MeanVector
from crmml.insight.assumptions import Assumption as Assumption
from crmml.insight.baskets import Baskets as Baskets
from crmml.insight.conditions import (
    Above as Above,
    AtLeast as AtLeast,
    AtMost as AtMost,
    Below as Below,
    Between as Between,
    Missing as Missing,
    Not as Not,
)
from crmml.insight.cross_sell import CrossSell as CrossSell, cross_sell as cross_sell
from crmml.insight.drift import SegmentDrift as SegmentDrift, segment_drift as segment_drift
from crmml.insight.dwell import DwellTimes as DwellTimes, dwell_times as dwell_times
from crmml.insight.lifecycle import Lifecycle as Lifecycle, build_lifecycle as build_lifecycle
from crmml.insight.migrations import Migrations as Migrations, migrations as migrations
from crmml.insight.profiles import SegmentProfiles as SegmentProfiles, profile_segments as profile_segments
from crmml.insight.profit import ProfitContribution as ProfitContribution, profit_contribution as profit_contribution
from crmml.insight.rules import AssociationRules as AssociationRules, association_rules as association_rules
from crmml.insight.tag_history import TagReport as TagReport, tag_history as tag_history, tag_report as tag_report
from crmml.insight.tags import Tag as Tag, TagRule as TagRule, TagSet as TagSet
from crmml.insight.wallet import ShareOfWallet as ShareOfWallet, share_of_wallet as share_of_wallet
from crmml.jobs.backtest import backtest as backtest
from crmml.jobs.choose_segments import choose_segments as choose_segments
from crmml.jobs.early_warning import early_warning as early_warning
from crmml.jobs.evaluate import evaluate_recommenders as evaluate_recommenders
from crmml.jobs.monitor import monitor as monitor
from crmml.jobs.promote import promote as promote
from crmml.jobs.realised import realised as realised
from crmml.jobs.registry import register as register, rollback as rollback
from crmml.jobs.score import ScoringPlan as ScoringPlan, plan_score as plan_score, score as score
from crmml.jobs.select import select_features as select_features
from crmml.jobs.tags import build_p_alive as build_p_alive, build_tags as build_tags
from crmml.jobs.tracking import load_bundle as load_bundle, track as track
from crmml.jobs.train import train as train
from crmml.jobs.tune import Tuning as Tuning, tune as tune
from crmml.jobs.verify import Verified as Verified, verify as verify
from crmml.models.btyd.beta_geometric import BGNBD as BGNBD, MBGNBD as MBGNBD
from crmml.models.btyd.contractual import ShiftedBetaGeometric as ShiftedBetaGeometric
from crmml.models.btyd.discrete import BetaGeometricBetaBinomial as BetaGeometricBetaBinomial
from crmml.models.btyd.gamma_gamma import GammaGamma as GammaGamma
from crmml.models.btyd.pareto import ParetoNBD as ParetoNBD
from crmml.models.churn import ChurnClassifier as ChurnClassifier
from crmml.models.hidden_seeds import HiddenSeeds as HiddenSeeds, hidden_seed_recall as hidden_seed_recall
from crmml.models.lookalikes import Lookalikes as Lookalikes
from crmml.models.rfm import RFMSegmenter as RFMSegmenter
from crmml.models.segments import BehaviourSegmenter as BehaviourSegmenter
from crmml.models.suggested import SuggestedSegments as SuggestedSegments
from crmml.models.tiers import ValueTiers as ValueTiers
from crmml.models.value import LifetimeValueRegressor as LifetimeValueRegressor
from crmml.recommend.als import ALS as ALS
from crmml.recommend.bpr import BPR as BPR
from crmml.recommend.content import ContentItems as ContentItems
from crmml.recommend.ease import EASE as EASE
from crmml.recommend.fallback import Fallback as Fallback
from crmml.recommend.margin import margin_tradeoff as margin_tradeoff, rank_by_margin as rank_by_margin
from crmml.recommend.matrix import Interactions as Interactions
from crmml.recommend.neighbors import ItemKNN as ItemKNN, UserKNN as UserKNN
from crmml.recommend.next_best_offer import NextBestOffer as NextBestOffer
from crmml.recommend.on_spark import fit_on_spark as fit_on_spark
from crmml.recommend.popularity import Popularity as Popularity
from crmml.recommend.reliability import Reliability as Reliability
from crmml.recommend.sequential import MarkovNext as MarkovNext, RepeatPurchase as RepeatPurchase
from crmml.recommend.shelf import diversify as diversify, limit_per_group as limit_per_group
from crmml.recommend.spectral import SpectralFilter as SpectralFilter
from crmml.recommend.splits import Split as Split
from crmml.recommend.two_stage import TwoStage as TwoStage
from crmml.report.backtest import BacktestReport as BacktestReport
from crmml.report.early_warning import EarlyWarning as EarlyWarning
from crmml.report.lifetimes import frequency_recency_figure as frequency_recency_figure
from crmml.report.migrations import migration_figure as migration_figure
from crmml.report.monitor import MonitorReport as MonitorReport
from crmml.report.profiles import profile_figure as profile_figure
from crmml.report.promotion import Promotion as Promotion
from crmml.report.recommendations import RecommendationReport as RecommendationReport
from crmml.report.segment_choice import SegmentChoice as SegmentChoice
from crmml.report.selection import Selection as Selection
from crmml.spec import dump_yaml as dump_yaml, from_data as from_data, load_config as load_config, to_data as to_data
from crmml.yaml_text import load_yaml as load_yaml

__version__: str
__all__: list[str]
