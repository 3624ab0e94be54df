"""The limits of lifetime value after the horizon of the labels: wider, by how far past totals were off."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import crmml as cm
from crmml.models import _offset_value
from crmml.models._season import Season
from tests.models.made_buyers import Shop, shop
from tests.models.mutants import dies

LONGER = "270d"


@pytest.fixture(scope="module")
def new() -> Shop:
    return shop(400, seed=1, cutoffs=(380.0,))


@pytest.fixture(scope="module")
def model() -> cm.LifetimeValueRegressor:
    data = shop(400, seed=0)
    return cm.LifetimeValueRegressor(horizon="90d", num_iterations=10).fit(data.X, data.y)


def off_by(model: cm.LifetimeValueRegressor, *factors: float) -> cm.LifetimeValueRegressor:
    """The same model, whose training totals were off by these factors, at times of no season of anybody."""
    again = cm.LifetimeValueRegressor(horizon="90d").set_state(model.get_state())
    assert again._offset is not None
    again._offset.season = Season(np.arange(len(factors)), np.array(factors))
    return again


def limits_move_outwards(module: ModuleType, model: cm.LifetimeValueRegressor, new: Shop) -> None:
    even, off = off_by(model, 1.0), off_by(model, 1.25, 0.8)
    ratio = even.predict(new.X, horizon=LONGER) / even.predict(new.X)  # of 270 days to 90
    assert (ratio > 1).all()
    for one in (even, off):
        assert one._offset is not None
        one._offset.__class__ = module.OffsetDesign
    (low, high), (lower, higher) = (one.predict_interval(new.X, horizon=LONGER) for one in (even, off))
    # All amounts of a distribution move with its mean: 90 days as they were, and what comes after by the factor.
    assert higher == pytest.approx(high * (1 + 1.25 * (ratio - 1)) / ratio)
    some = low < even.predict(new.X, horizon=LONGER)
    assert lower[some] == pytest.approx((low * (1 + 0.8 * (ratio - 1)) / ratio)[some])
    # The labels have checked what they reach.
    for horizon in ("60d", "90d"):
        limits = (one.predict_interval(new.X, horizon=horizon) for one in (even, off))
        assert np.array_equal(*(np.array(pair) for pair in limits))


def test_limits_move_outwards_by_what_totals_were_off(model: cm.LifetimeValueRegressor, new: Shop) -> None:
    limits_move_outwards(_offset_value, model, new)


def test_the_forecast_itself_does_not_move(model: cm.LifetimeValueRegressor, new: Shop) -> None:
    even, off = off_by(model, 1.0), off_by(model, 1.25, 0.8)
    assert off.predict(new.X, horizon=LONGER).tolist() == even.predict(new.X, horizon=LONGER).tolist()
    low, high = off.predict_interval(new.X, horizon=LONGER)
    there = off.predict(new.X, horizon=LONGER)
    assert ((low <= there) & (there <= high)).all()


def test_totals_that_were_all_too_low_move_the_upper_limit_only(model: cm.LifetimeValueRegressor, new: Shop) -> None:
    even, off = off_by(model, 1.0), off_by(model, 1.25, 1.1)
    (low, high), (lower, higher) = (one.predict_interval(new.X, horizon=LONGER) for one in (even, off))
    assert lower.tolist() == low.tolist()
    assert (higher > high).all()


@pytest.mark.parametrize(
    ("old", "new_text"),
    [
        ("if days <= self.days:", "if days > self.days:"),
        ("beyond_by * beyond", "beyond_by * within"),
        ("outlooks[1], coverage)", "outlooks[0], coverage)"),
    ],
    ids=["the wrong horizon", "what labels have checked", "one side"],
)
def test_mutants_die(old: str, new_text: str, tmp_path: Path, model: cm.LifetimeValueRegressor, new: Shop) -> None:
    dies(lambda module: limits_move_outwards(module, model, new), _offset_value, old, new_text, tmp_path)
