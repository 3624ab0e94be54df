"""Means over beta distributions: known moments, and the hypergeometric function where it can be computed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import digamma, hyp2f1

from crmml.models.btyd._special import mean_over_beta

shapes = st.floats(np.log(0.01), np.log(1e5)).map(np.exp)


@given(shapes, shapes)
def test_moments_are_those_of_the_beta_distribution(a: float, b: float) -> None:
    one, two = np.array([a]), np.array([b])
    assert mean_over_beta(lambda p, _: p, one, two)[0] == pytest.approx(a / (a + b), rel=1e-9)
    second = a * (a + 1) / ((a + b) * (a + b + 1))
    assert mean_over_beta(lambda p, _: p**2, one, two)[0] == pytest.approx(second, rel=1e-9)


@given(st.floats(0.05, 20), st.floats(0.05, 20))
def test_the_mean_logarithm_is_a_difference_of_digammas(a: float, b: float) -> None:
    found = mean_over_beta(lambda p, _: np.log(np.maximum(p, 1e-300)), np.array([a]), np.array([b]))[0]
    assert found == pytest.approx(digamma(a) - digamma(a + b), rel=1e-8)


@given(st.floats(0.1, 20), st.floats(0.1, 20), st.floats(0.1, 20), st.floats(0.01, 0.9))
def test_eulers_integral_is_the_hypergeometric_function(k: float, a: float, b: float, z: float) -> None:
    found = mean_over_beta(lambda p, _: (1 + z * p) ** -k, np.array([a]), np.array([b]))[0]
    assert found == pytest.approx(hyp2f1(k, a, a + b, -z), rel=1e-8)


def test_each_row_has_its_own_slice_whatever_the_number_of_rows() -> None:
    b = np.linspace(1.0, 9.0, 9_000)
    offset = np.arange(9_000.0)
    found = mean_over_beta(lambda p, part: p + offset[part], np.ones(9_000), b)
    assert np.allclose(found, 1 / (1 + b) + offset, rtol=1e-9)
