"""Estimates and intervals against scipy, enumeration and simulation."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reasonmaxxer.analysis import statistics as s


@pytest.mark.parametrize(("samples", "right"), [(n, c) for n in range(1, 8) for c in range(n + 1)])
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(samples: int, right: int) -> None:
    drawn = [index < right for index in range(samples)]
    for k in range(1, samples + 1):
        subsets = list(itertools.combinations(drawn, k))
        expected = sum(map(any, subsets)) / len(subsets)
        assert s.pass_at_k([right], samples, k)[0] == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_stays_exact_for_many_samples() -> None:
    # 1 - C(9000, 1000) / C(10000, 1000), from log-gamma
    log_choose = stats.hypergeom(10_000, 1_000, 1_000).logpmf(0)
    assert s.pass_at_k([1_000], 10_000, 1_000)[0] == pytest.approx(-np.expm1(log_choose))


@pytest.mark.parametrize("k", [0, 5])
def test_pass_at_k_refuses_more_draws_than_samples(k: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 4"):
        s.pass_at_k([2], 4, k)


@pytest.mark.parametrize(
    ("answers", "correct", "expected"),
    [
        (["4", "4", "5"], [True, True, False], 1.0),
        (["4", "5", "5"], [True, False, False], 0.0),
        (["4", "5"], [True, False], 0.5),  # a tie counts by its share
        (["1/2", "0.5", "3", "3"], [True, True, False, False], 0.5),  # equal answers vote as one
        (["0.5", "1/2", "3"], [True, True, False], 1.0),
        (["3 ", " 3", "4"], [False, False, True], 0.0),  # blanks tell no answers apart
        ([None, None, "4"], [False, False, True], 1.0),  # no answer, no vote
        ([None, None], [False, False], 0.0),
        (["a", "b", "c"], [True, False, False], 1 / 3),
    ],
)
def test_majority_counts_answers(
    answers: list[str | None], correct: list[bool], expected: float
) -> None:
    assert s.majority(answers, correct) == pytest.approx(expected)


@pytest.mark.parametrize(("right", "problems"), [(0, 30), (3, 30), (17, 40), (500, 500), (1, 1)])
def test_one_sample_a_problem_has_scipys_wilson_interval(right: int, problems: int) -> None:
    values = np.array([1.0] * right + [0.0] * (problems - right))
    expected = stats.binomtest(right, problems).proportion_ci(method="wilson")
    found = s.share_interval(values, samples=1)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.value == pytest.approx(right / problems)


def test_samples_of_one_problem_are_not_independent_trials() -> None:
    alike = np.repeat([0.0, 1.0], 50)  # eight samples a problem that all agree
    apart = np.random.default_rng(1).binomial(8, 0.5, size=100) / 8
    wide, narrow = s.share_interval(alike, 8), s.share_interval(apart, 8)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    wilson = stats.binomtest(50, 100).proportion_ci(method="wilson")
    assert wide.high - wide.low == pytest.approx(wilson.high - wilson.low, rel=0.03)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_problems_that_agree_have_an_interval_all_the_same(share: float) -> None:
    found = s.share_interval(np.full(30, share), samples=8)
    wilson = stats.binomtest(0, 30).proportion_ci(method="wilson")
    assert found.value == share
    assert found.high - found.low == pytest.approx(wilson.high)


def test_a_ratio_has_the_mean_and_the_spread_that_resampling_finds() -> None:
    rng = np.random.default_rng(3)
    parsed = rng.integers(0, 9, size=200).astype(float)
    right = rng.binomial(parsed.astype(int), 0.4).astype(float)
    values = s.ratio_values(right, parsed)
    assert values.mean() == pytest.approx(right.sum() / parsed.sum())
    drawn = stats.bootstrap(
        (right, parsed),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    assert values.std(ddof=1) / np.sqrt(200) == pytest.approx(drawn.standard_error, rel=0.05)
    assert np.isnan(s.ratio_values(np.zeros(4), np.zeros(4))).all()


def test_a_paired_difference_agrees_with_scipys_bootstrap_and_t_test() -> None:
    rng = np.random.default_rng(5)
    rates = rng.beta(1, 1, size=400)
    base, arm = (rng.binomial(8, np.clip(rates + gain, 0, 1)) / 8 for gain in (0.0, 0.05))
    found = s.paired_difference(arm, base)
    drawn = stats.bootstrap((arm - base,), np.mean, rng=np.random.default_rng(0))
    interval = drawn.confidence_interval
    assert found.value == pytest.approx((arm - base).mean())
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.002)
    noise = rng.normal(0.1, 1.0, size=60)
    close = s.paired_difference(noise, np.zeros(60), bounds=None)
    t = stats.ttest_1samp(noise, 0.0)
    assert close.p == pytest.approx(t.pvalue, abs=0.02)
    expected = t.confidence_interval()
    assert (close.low, close.high) == pytest.approx((expected.low, expected.high), abs=0.02)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=40),
    st.integers(0, 3),
)
def test_p_and_interval_of_a_difference_never_disagree(
    pairs: list[tuple[int, int]], seed: int
) -> None:
    arm, base = (np.array(column) / 4 for column in zip(*pairs, strict=True))
    found = s.paired_difference(arm, base, seed=seed)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert 0 < found.p <= 1
    if np.ptp(arm - base) > 0 or 0 < np.count_nonzero(arm - base) < s.EXACT_BELOW:
        outside = found.low > 0 or found.high < 0
        assert outside == (found.p <= 0.05) or min(abs(found.low), abs(found.high)) < 1e-9


@pytest.mark.parametrize(
    ("arm", "base", "value", "low", "high", "p"),
    [
        ([0.0] * 30, [0.0] * 30, 0.0, -0.1135, 0.1135, 1.0),
        ([1.0] * 30, [0.0] * 30, 1.0, 0.7730, 1.0, 2 * 0.5**30),
        ([1.0], [0.0], 1.0, -1.0, 1.0, 1.0),  # one problem shows nothing
    ],
)
def test_a_difference_without_spread_is_as_unsure_as_its_problems_are_few(
    arm: list[float], base: list[float], value: float, low: float, high: float, p: float
) -> None:
    found = s.paired_difference(np.array(arm), np.array(base))
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high), abs=1e-4)
    assert found.p == pytest.approx(p)


def test_the_mean_over_benchmarks_weighs_each_alike() -> None:
    rng = np.random.default_rng(8)
    parts = [rng.normal(0.2, 0.3, size=200), rng.normal(0.0, 0.3, size=50)]
    found = s.mean_difference(parts)
    error = np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)) / 2
    assert found.value == pytest.approx(np.mean([part.mean() for part in parts]))
    assert found.high - found.low == pytest.approx(2 * 1.98 * error, rel=0.05)


def test_a_benchmark_that_nothing_changes_on_leaves_the_mean_testable() -> None:
    changed = np.random.default_rng(2).normal(0.3, 0.2, size=100)
    found = s.mean_difference([changed, np.zeros(30)])
    assert found.value == pytest.approx(changed.mean() / 2)
    assert found.low > 0


def test_holm_gives_the_textbook_values() -> None:
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert s.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert s.holm([]) == []


def gains_and_losses(gained: int, lost: int, problems: int) -> np.ndarray:
    return np.array([1.0] * gained + [-1.0] * lost + [0.0] * (problems - gained - lost))


@pytest.mark.parametrize("gained", [1, 5, 6, 12, 20])
@pytest.mark.parametrize("lost", [0, 1, 4])
def test_few_problems_that_differ_are_tested_exactly(gained: int, lost: int) -> None:
    """McNemar's exact test; more evidence never has a larger p."""
    found = s.mean_difference([gains_and_losses(gained, lost, 300)])
    expected = stats.binomtest(gained, gained + lost).pvalue
    assert found.p == pytest.approx(expected)
    more = s.mean_difference([gains_and_losses(gained + 1, lost, 300)])
    if gained > lost and gained + lost + 1 < s.EXACT_BELOW:
        assert more.p < found.p


def test_theta_has_clopper_and_pearsons_interval() -> None:
    exact = s._Exact([gains_and_losses(9, 3, 200)])
    expected = stats.binomtest(9, 12).proportion_ci(0.95, method="exact")
    assert exact._theta(0.05) == pytest.approx((expected.low, expected.high))


def test_differences_of_several_sizes_are_tested_by_all_their_signs() -> None:
    rng = np.random.default_rng(3)
    for count in (1, 2, 7, 12):
        values = rng.choice([-1, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1], size=count)
        padded = np.concatenate([values, np.zeros(40)])
        signs = np.array(list(itertools.product([-1, 1], repeat=count)))
        sums = signs @ np.abs(values)
        expected = np.mean(np.abs(sums) >= abs(values.sum()) - 1e-9)
        assert s.mean_difference([padded]).p == pytest.approx(min(1.0, expected))
    # and of two benchmarks, each problem by its weight in the mean
    parts = [np.array([1.0, 0, 0, 0]), np.array([-1.0, 1.0])]
    signs = np.array(list(itertools.product([-1, 1], repeat=3))) @ np.array([1 / 8, 1 / 4, 1 / 4])
    expected = np.mean(np.abs(signs) >= 1 / 8 - 1e-9)
    assert s.mean_difference(parts).p == pytest.approx(expected)


def test_what_seeds_add_is_the_variance_between_them_beyond_single_problems() -> None:
    rng = np.random.default_rng(0)
    seeds, problems = 4, 30
    values = rng.normal(size=(seeds, 1)) + rng.normal(size=(1, problems)) + rng.normal(size=(4, 30))
    found = s.seeds_spread([values])
    rest = values - values.mean(0) - values.mean(1)[:, None] + values.mean()
    between = problems * values.mean(1).var(ddof=1)  # mean squares of a two-way analysis
    inside = (rest**2).sum() / ((seeds - 1) * (problems - 1))
    assert found is not None
    assert found.error == pytest.approx(np.sqrt((between - inside) / (seeds * problems)))
    assert s.seeds_spread([values[:1]]) is None
    assert s.seeds_spread([np.repeat(values[:1], 3, axis=0)]) == s.Spread(0.0, 3)


def test_seeds_and_problems_add_in_squares_and_p_goes_with_the_interval() -> None:
    rng = np.random.default_rng(1)
    for gain in (0.01, 0.03, 0.05):
        values = rng.normal(gain, 0.2, size=400)
        alone = s.mean_difference([values])
        spread = s.Spread(0.005, 5)
        both = s.mean_difference([values], spreads=[spread])
        half = np.hypot(alone.high - alone.value, stats.t.ppf(0.975, 4) * 0.005)
        assert both.high - both.value == pytest.approx(half)
        assert both.p >= alone.p
        assert (both.low > 0 or both.high < 0) == (both.p < 0.05)
        same = s.mean_difference([values], spreads=[s.Spread(0.0, 5)])
        assert (same.low, same.high) == pytest.approx((alone.low, alone.high))
    # three seeds that agree on everything still have the problems to vary
    sure = s.mean_difference([np.ones(30)], spreads=[s.Spread(0.0, 3)])
    assert sure.low < 0.8 and sure.high == 1.0 and sure.p < 0.05


def test_a_mean_of_any_quantity_has_a_bootstrap_interval() -> None:
    lengths = np.random.default_rng(4).gamma(2.0, 100.0, size=300)
    found = s.mean_interval(lengths)
    interval = stats.bootstrap((lengths,), np.mean, rng=np.random.default_rng(0))
    expected = interval.confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.02)
    assert s.mean_interval(np.full(5, 7.0)) == s.Estimate(7.0, 7.0, 7.0)


# Simulated benchmarks: share of intervals that hold the truth. The whole table, with 2,000
# benchmarks a row, is printed by tests/benchmarks/coverage.py.
@pytest.mark.parametrize("rate", [0.02, 0.3, 0.7])
@pytest.mark.parametrize(("problems", "samples"), [(30, 1), (30, 8), (500, 8)])
def test_intervals_cover_the_true_rate(problems: int, samples: int, rate: float) -> None:
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(400):
        rates = rng.beta(rate, 1 - rate, size=problems)
        found = s.share_interval(rng.binomial(samples, rates) / samples, samples)
        held += found.low <= rate <= found.high
    noise = 2.5 * np.sqrt(0.05 * 0.95 / 400)
    assert held / 400 >= 0.93 - noise
    assert held / 400 <= 0.97 + noise or rate < 0.1  # rare successes: never too narrow


@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_intervals_cover_the_true_difference(gain: float) -> None:
    rng = np.random.default_rng(12)
    held = 0
    for _ in range(250):
        rates = rng.beta(0.3, 0.7, size=30)
        arm, base = (rng.binomial(4, q) / 4 for q in (rates + gain * (1 - rates), rates))
        found = s.paired_difference(arm, base)
        held += found.low <= gain * 0.7 <= found.high
    noise = 2.5 * np.sqrt(0.05 * 0.95 / 250)
    assert 0.93 - noise <= held / 250 <= 0.97 + noise
