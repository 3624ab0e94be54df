"""What a customer's spend with one firm says of the wallet it comes from."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from crmml.insight.assumptions import Floats

# The spends are answered for on a grid and interpolated; wallets are summed over as many quantiles.
_SPENDS, _WALLETS = 200, 1_000


@dataclass(frozen=True)
class WalletPrior:
    """Wallets are log-normal, shares Beta(1, b), and both independent; the spend is their product.

    Parameters:
        mean: mean wallet.
        spread: standard deviation of the wallets over their mean.
        share: mean share, in (0, 1): b = 1 / share - 1.
    """

    mean: float
    spread: float
    share: float

    def shares(self, spend: Floats, coverage: float) -> Floats:
        """Per customer the expected share, its interval, and the expected wallet: shape (customers, 4).

        Who spends nothing has a share of 0, which tells nothing of the wallet.

        Bayes' rule over wallets W that hold the spend s: p(W | s) ~ p(W) f(s / W) / W with the density
        f(x) = b (1 - x)^(b - 1).

        >>> WalletPrior(mean=100.0, spread=0.5, share=0.5).shares(np.array([0.0, 60.0]), 0.9).round(2).tolist()
        [[0.0, 0.0, 0.0, 100.0], [0.67, 0.35, 0.96, 99.28]]
        """
        answers = np.zeros((len(spend), 4))
        answers[:, 3] = self.mean
        buys = spend > 0
        if buys.any():
            ends = np.log([spend[buys].min(), spend[buys].max()])
            grid = np.linspace(ends[0], ends[1], _SPENDS if ends[1] > ends[0] else 1)
            known = np.array([self._at(float(np.exp(value)), coverage) for value in grid])
            for column, values in enumerate(known.T):
                answers[buys, column] = np.interp(np.log(spend[buys]), grid, values)
        return answers

    def _at(self, spend: float, coverage: float) -> tuple[float, float, float, float]:
        variance = np.log1p(self.spread**2)
        sigma, mu = np.sqrt(variance), np.log(self.mean) - variance / 2
        # A log-normal density divided by W is again one, with the mean of the logarithm less by the variance. Of it,
        # the part above the spend is left, taken in equal steps of probability.
        mu -= variance
        below = float(ndtr((np.log(spend) - mu) / sigma))
        steps = (np.arange(_WALLETS) + 0.5) / _WALLETS
        left = 1.0 - below
        if left < 1e-12:  # the spend is far above any wallet that was assumed: it is the wallet
            return 1.0, 1.0, 1.0, spend
        share = np.minimum(spend / np.exp(mu + sigma * ndtri(below + left * steps)), 1.0)[::-1]  # rising
        b = 1 / self.share - 1
        # Near a share of 1 and with b < 1 the density has no bound; half a step away it is as good as its mean.
        weight = np.maximum(1.0 - share, 0.5 / _WALLETS) ** (b - 1)
        weight /= weight.sum()
        cumulated = np.cumsum(weight) - weight / 2
        low, high = np.interp([(1 - coverage) / 2, (1 + coverage) / 2], cumulated, share)
        return float(share @ weight), float(low), float(high), float(spend / share @ weight)
