"""The calibration of a `NextBestOffer` from a log: one horizon before the cutoff, on what was bought from then on."""

from typing import Any

import pandas as pd

from crmml.data.log import InteractionLog
from crmml.data.time import spoken
from crmml.errors import ConfigError
from crmml.features.aggregates import Recency
from crmml.features.datasets import build_features
from crmml.features.interactions import ItemWeights, build_interactions, build_next_items
from crmml.features.targets import NextItems


def calibrate_before(
    log: InteractionLog, interactions: ItemWeights, target: Any, model: Any, as_of: pd.Timestamp
) -> None:
    """Calibrate the model at `as_of` less gap and horizon of the target, for its population; others are left alone.

    The labels end at `as_of`, so that what the model is fitted on afterwards holds nothing that they do not, and the
    cutoff sees nothing of its own future.

    Raises:
        ConfigError: that moment lies before the log.
        DataError: too little was bought.
    """
    if not hasattr(model, "calibrate") or not isinstance(target, NextItems):
        return
    earlier, first = as_of - target.reach, log.require_usable().first
    if earlier <= first:
        raise ConfigError(
            f"train: {type(model).__name__} is calibrated at the cutoff less {target.reach_in_words}, "
            f"{spoken(earlier)}, when there was no history: the first event in the log is of {first:%Y-%m-%d}. "
            "Use a later as_of, or a shorter horizon."
        )
    known = build_interactions(log, interactions, earlier, in_order=model.reads_order)
    asked = build_features(log, [Recency()], earlier, population=target.population, known_event_types=False)
    customers = asked.index.get_level_values("customer_id")
    bought = build_next_items(log, target, earlier)
    model.calibrate(known, bought, customers, exclude_seen=not target.repeats)
