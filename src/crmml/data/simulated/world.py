"""The simulated world: its items, and its customers with the traits that nobody sees."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crmml.data.simulated.clock import Clock

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]

CATEGORIES = (
    "bags", "beauty", "books", "garden", "kids", "kitchen",
    "lighting", "music", "office", "pets", "sports", "tools",
)  # fmt: skip
ITEMS_PER_CATEGORY = 25
POPULARITY = 0.8  # Zipf exponent of the items within a category
CHANNELS = ("web", "app", "shop", "phone", "social")
CHANNEL_SHARES = np.array([0.40, 0.25, 0.20, 0.05, 0.10])
PLANS = ("basic", "plus", "premium")
PLAN_SHARES = np.array([0.6, 0.3, 0.1])

# Purchases: gamma distributed rates, 1 in 40 days on the mean, coefficient of variation 1 / sqrt(1.2) = 0.91.
RATE_SHAPE, RATE_MEAN = 1.2, 1 / 40
# Lifetimes: gamma distributed rates of leaving, 1 in 250 days on the mean; a mean lifetime of 500 days.
DROPOUT_SHAPE, DROPOUT_MEAN = 2.0, 1 / 250
EXTRA_QUANTITY = 0.5  # mean number of pieces beyond the first, itself gamma distributed (shape 1)
RETURN_ALPHA, RETURN_BETA = 0.8, 9.2  # beta distributed share of purchases sent back: 8 % on the mean
UPGRADES = 0.15  # share of customers who go up one plan at some time
# Planted segments: purchases per day, preferred channel, mean quantity.
HABITS = (
    (1 / 20, "web", 1.2),
    (1 / 8, "app", 1.2),
    (1 / 30, "shop", 4.0),
    (1 / 10, "phone", 4.0),
    (1 / 40, "social", 1.2),
)
ALIKE = 0.1  # standard deviation of the logarithms within a segment
EARLY = 0.05  # share of the span within which all have arrived


@dataclass(frozen=True, eq=False)
class Items:
    """What the shop sells; items of one category stand together, the most popular first."""

    names: list[str]
    category: Codes
    price: Floats
    popularity: Floats

    @property
    def choice(self) -> Floats:
        """Cumulative popularity within a category: the same for all."""
        return np.cumsum(self.popularity[:ITEMS_PER_CATEGORY])


@dataclass(frozen=True, eq=False, kw_only=True)
class Customers:
    """The hidden traits, one value per customer; times in days since the start of the log."""

    arrival: Floats
    dropout: Floats
    rate: Floats
    dropout_rate: Floats
    taste: Codes
    second_taste: Codes
    channel: Codes
    mean_quantity: Floats
    return_rate: Floats
    satisfaction: Floats
    plan: Codes
    upgrade: Floats  # infinite for never
    segment: Codes  # of planted segments; 0 for all without


def draw_items(rng: np.random.Generator) -> Items:
    """The items with their prices: lognormal around a level of the category."""
    size = len(CATEGORIES) * ITEMS_PER_CATEGORY
    level = np.repeat(rng.normal(3.0, 0.4, len(CATEGORIES)), ITEMS_PER_CATEGORY)
    weights = np.arange(1, ITEMS_PER_CATEGORY + 1, dtype=float) ** -POPULARITY
    return Items(
        names=[f"{name}-{number:02d}" for name in CATEGORIES for number in range(1, ITEMS_PER_CATEGORY + 1)],
        category=np.repeat(np.arange(len(CATEGORIES), dtype=np.int8), ITEMS_PER_CATEGORY),
        price=np.maximum(np.round(np.exp(level + rng.normal(0.0, 0.5, size)), 2), 0.5),
        popularity=np.tile(weights / weights.sum(), len(CATEGORIES)),
    )


def draw_customers(size: int, clock: Clock, rng: np.random.Generator) -> Customers:
    """The customers; they arrive at busy times, evenly over the span."""
    arrival = clock.moment(rng.uniform(0, float(clock.busy(np.array([clock.days]))[0]), size))
    rate = rng.gamma(RATE_SHAPE, RATE_MEAN / RATE_SHAPE, size)
    dropout_rate = rng.gamma(DROPOUT_SHAPE, DROPOUT_MEAN / DROPOUT_SHAPE, size)
    dropout = arrival + rng.exponential(1.0, size) / dropout_rate
    taste = rng.integers(0, len(CATEGORIES), size)
    # Any of the other categories: 1 to 11 steps further round the circle.
    second_taste = (taste + rng.integers(1, len(CATEGORIES), size)) % len(CATEGORIES)
    plan = _plan(rate, rng)
    return Customers(
        arrival=arrival,
        dropout=dropout,
        rate=rate,
        dropout_rate=dropout_rate,
        taste=taste.astype(np.int8),
        second_taste=second_taste.astype(np.int8),
        channel=draw(CHANNEL_SHARES, size, rng),
        mean_quantity=1 + rng.gamma(1.0, EXTRA_QUANTITY, size),
        return_rate=rng.beta(RETURN_ALPHA, RETURN_BETA, size),
        satisfaction=np.clip(rng.normal(7.5, 1.2, size), 0, 10),
        plan=plan,
        upgrade=_upgrade(arrival, np.minimum(dropout, clock.days), plan, rng),
        segment=np.zeros(size, dtype=np.int8),
    )


def planted(customers: Customers, segments: int, clock: Clock, rng: np.random.Generator) -> Customers:
    """The same customers with the habits of so many segments, of equal probability: they all come early, and stay.

    Within a segment, the rate and the mean quantity differ by some 10 %: what is left is chance.
    """
    size = len(customers.rate)
    segment = rng.integers(0, segments, size).astype(np.int8)
    rate, channel, quantity = (np.array(habit)[segment] for habit in zip(*HABITS[:segments], strict=True))
    return replace(
        customers,
        arrival=clock.moment(rng.uniform(0, float(clock.busy(np.array([EARLY * clock.days]))[0]), size)),
        dropout=np.full(size, np.inf),
        dropout_rate=np.zeros(size),
        rate=rate * np.exp(rng.normal(0.0, ALIKE, size)),
        channel=np.array([CHANNELS.index(name) for name in channel], dtype=np.int8),
        mean_quantity=1 + (quantity - 1) * np.exp(rng.normal(0.0, ALIKE, size)),
        upgrade=np.full(size, np.inf),
        segment=segment,
    )


def draw(shares: Floats, size: int, rng: np.random.Generator) -> Codes:
    """`size` codes with the given shares."""
    codes = np.searchsorted(np.cumsum(shares), rng.random(size), side="right")
    return np.minimum(codes, len(shares) - 1).astype(np.int8)  # the shares may sum to a hair under 1


def _plan(rate: Floats, rng: np.random.Generator) -> Codes:
    """Frequent buyers tend to the higher plans: ranked by their rate with noise, cut at the shares."""
    score = np.log(rate) + rng.normal(0.0, 1.0, len(rate))
    rank = np.argsort(np.argsort(score)) / len(rate)
    return np.searchsorted(np.cumsum(PLAN_SHARES)[:-1], rank, side="right").astype(np.int8)


def _upgrade(arrival: Floats, until: Floats, plan: Codes, rng: np.random.Generator) -> Floats:
    moment = rng.uniform(arrival, until)
    upgrades = (rng.random(len(plan)) < UPGRADES) & (plan < len(PLANS) - 1)
    return np.where(upgrades, moment, np.inf)
