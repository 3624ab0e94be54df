"""What a retention campaign earns when the customers with the highest scores are contacted."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crmml.errors import ConfigError
from crmml.metrics.arrays import checked, checked_labels
from crmml.metrics.classification import gains_curve

_POINTS = 100


def profit_curve(
    y: ArrayLike,
    score: ArrayLike,
    *,
    margin: float,
    save_rate: float,
    contact_cost: float,
    offer_cost: float = 0.0,
    fixed_cost: float = 0.0,
) -> pd.DataFrame:
    """The profit of contacting the best-scored customers, for every hundredth of the list.

    With n contacted, of whom c would leave: `n (-offer_cost - contact_cost) + c (save_rate margin + offer_cost
    (1 - save_rate)) - fixed_cost`. A leaver stays with probability `save_rate`, which is worth `margin`, and then
    uses the offer; a customer who would have stayed anyway uses it in any case. Ties count in proportion: the expected
    value over a random order of them.

    y, score: vectors of one length; y is 1 for who leaves, a high score stands for 1. margin: what a saved customer
    is worth, before the offer; offer_cost, contact_cost: per customer; fixed_cost: of the campaign; all in one
    currency. save_rate: from 0 to 1.
    Returns index `share` (0, 0.01, ..., 1 of the list) and columns `customers`, `positives`, `profit`.
    Raises `DataError`: no 1 at all, missing values, different lengths; `ConfigError`: a cost or rate out of range.
    Source: Neslin, Gupta, Kamakura, Lu and Mason (2006), Defection detection, Journal of Marketing Research 43.

    >>> curve = profit_curve([1, 1, 0, 0], [4, 3, 2, 1], margin=100, save_rate=0.5, contact_cost=10)
    >>> curve.loc[[0, 0.5, 1], "profit"].tolist()  # 2 leavers: 2 * 0.5 * 100, less 10 for each contact
    [0.0, 80.0, 60.0]
    """
    labels, scores = checked("profit_curve", y=y, score=score)
    checked_labels("profit_curve", labels, need=(1,))
    _check(margin=margin, contact_cost=contact_cost, offer_cost=offer_cost, fixed_cost=fixed_cost)
    if isinstance(save_rate, bool) or not isinstance(save_rate, int | float) or not 0 <= save_rate <= 1:
        raise ConfigError(f"profit_curve: save_rate is {save_rate!r}. Use a share from 0 to 1, such as save_rate=0.3.")
    share = np.arange(_POINTS + 1) / _POINTS
    rows, ones = gains_curve(labels, scores)
    contacted = share * len(labels)
    leavers = np.interp(contacted, rows, ones)
    saved = save_rate * margin + offer_cost * (1.0 - save_rate)
    # Nobody contacted, no campaign.
    fixed = np.where(contacted > 0, fixed_cost, 0.0)
    profit = leavers * saved - contacted * (offer_cost + contact_cost) - fixed
    table = {"customers": contacted, "positives": leavers, "profit": profit}
    return pd.DataFrame(table, index=pd.Index(share, name="share"))


def _check(**amounts: float) -> None:
    for name, value in amounts.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < np.inf:
            raise ConfigError(f"profit_curve: {name} is {value!r}. Use an amount of money, 0 or more: {name}=10.")
