"""Lines of tags, lifecycle, migrations and drift that a slip would turn into plausible but wrong results."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.insight import conditions, drift, dwell, lifecycle, migrations, rhythm, tags
from tests.features.oracle_rows import DAY
from tests.features.strategies import stamp
from tests.insight.test_lifecycle import START, log_with
from tests.insight.test_migrations import assigned
from tests.models.mutants import dies

TABLE = pd.DataFrame({"customer_id": [1, 2, 3], "as_of": "2024-01-01", "x": [1.0, 2.0, np.nan]})


def the_first_rule_wins(module: ModuleType) -> None:
    rules = [module.TagRule("a", where={"x": cm.AtLeast(1)}), module.TagRule("b", where={"x": cm.AtLeast(2)})]
    assert module.TagSet([module.Tag("t", rules)]).assign(TABLE)["t"].tolist()[:2] == ["a", "a"]


def all_conditions_hold(module: ModuleType) -> None:
    table = TABLE.assign(y=[0, 5, 5])
    rule = module.TagRule("a", where={"x": cm.AtLeast(1), "y": cm.AtLeast(5)})
    assert module.TagSet([module.Tag("t", [rule])]).assign(table)["t"].notna().tolist() == [False, True, False]


def layers_come_after_their_bases(module: ModuleType) -> None:
    top = module.Tag("top", [module.TagRule("a", where={"base": "b"})])
    base = module.Tag("base", [module.TagRule("b", where={"x": cm.AtLeast(2)})])
    assert [tag.name for tag in module.TagSet([top, base]).order] == ["base", "top"]


def column(module: ModuleType, values: object) -> object:
    return module.Column(pd.Series(values, name="x"))


def ranges_are_half_open(module: ModuleType) -> None:
    assert module.Between(1, 2).holds(column(module, [1.0, 2.0])).tolist() == [True, False]


def missing_texts_are_none_of_them(module: ModuleType) -> None:
    assert module.OneOf(("b",)).holds(column(module, ["a", None, "b"])).tolist() == [False, False, True]


def missing_whole_numbers_are_not_zero(module: ModuleType) -> None:
    found = module.AtMost(0).holds(column(module, pd.array([0, None], dtype="Int64")))
    assert found.tolist() == [True, False]


def rows(module: ModuleType, days: list[float], as_of: float) -> dict[str, object]:
    log = log_with(anna=days)
    with module.Rhythms(log, None, 10.0, 6.0) as found:
        return dict(found.as_of(stamp(START + round(as_of * DAY))).to_pylist()[0])


def the_day_of_the_cutoff_is_not_over(module: ModuleType) -> None:
    assert rows(module, [0], 5)["silence"] == 4


def the_cutoff_itself_is_the_future(module: ModuleType) -> None:
    assert rows(module, [0, 5], 5)["visits"] == 1


def the_rhythm_before_a_silence_judges_it(module: ModuleType) -> None:
    """Gaps of 10 and 30 make a rhythm of (2 * 10 + 10) / 3 = 10; a silence of 60 is lost. With it, it would be 23."""
    assert rows(module, [0, 10, 40, 100], 110)["since_return"] == 0
    assert rows(module, [0, 10, 40, 99], 110)["since_return"] is None


def known_late_is_seen_late(module: ModuleType) -> None:
    moments = [stamp(START), stamp(START + DAY)]
    frame = pd.DataFrame({"who": "anna", "when": moments, "known": [moments[0], stamp(START + 30 * DAY)]})
    frame = pd.concat([frame, frame.assign(who="ben", known=frame["when"])])
    log = cm.InteractionLog(
        frame, customer_id="who", timestamp="when", recorded_at="known", observed_until="2025-01-01"
    )
    with module.Rhythms(log, None, 10.0, 6.0) as found:
        early, late = (found.as_of(stamp(START + day * DAY)).to_pydict()["visits"] for day in (10, 40))
    assert (early, late) == ([1, 2], [2, 2])


def stage(module: ModuleType, days: list[float], as_of: float) -> str:
    found = module.build_lifecycle(log_with(anna=days), module.Lifecycle("10d"), stamp(START + round(as_of * DAY)))
    return str(found["segment"].item())


def at_three_rhythms_late_at_six_lost(module: ModuleType) -> None:
    assert [stage(module, [0, 10, 20, 30], at) for at in (60, 61, 90, 91)] == [
        "maintained", "declining", "declining", "lost",
    ]  # fmt: skip


def won_back_until_settled(module: ModuleType) -> None:
    back = [0, 10, 20, 30, 130, 140, 150]
    assert [stage(module, back, at) for at in (131, 141, 151)] == ["won back", "won back", "maintained"]


def customers_are_the_draws(module: ModuleType) -> None:
    _, low, high = module.clustered_share(np.array([10, 0] * 50), np.full(100, 10), 0.95)
    assert high - low == pytest.approx(0.2, abs=0.02)


def absent_twice_is_no_move(module: ModuleType) -> None:
    found = module.migrations(assigned(anna="aab", ben="..a"))
    assert found.matrix.set_index(["from_segment", "to_segment"]).loc[("(absent)", "alpha"), "share"] == 1


def stays_begun_before_are_left_out(module: ModuleType) -> None:
    found = module.dwell_times(assigned(anna="aabb", ben="abba"))
    assert found.table.set_index("segment").loc["beta", "stays"] == 2
    assert "alpha" not in set(found.table["segment"])


def who_stays_on_is_not_over(module: ModuleType) -> None:
    found = module.dwell_times(assigned(anna="abbb", ben="abba"))
    assert found.table.set_index("segment").loc["beta", "ended"] == 1


def holm_goes_down_the_list(module: ModuleType) -> None:
    assert module._more_than_chance(np.array([0.01, 0.03, 0.016]), 0.05).tolist() == [True, True, True]
    assert module._more_than_chance(np.array([0.02, 0.03, 0.016]), 0.05).tolist() == [True, True, True]
    assert not module._more_than_chance(np.array([0.02, 0.03, 0.04]), 0.05).any()


def both_sides_of_a_customer_are_one_draw(module: ModuleType) -> None:
    random = np.random.default_rng(0)
    before = random.normal(size=200)
    everybody = np.ones(200, dtype=bool)
    assert module._shift(before, everybody, before + 0.1, everybody)["p_value"] < 1e-6


def a_handful_proves_little(module: ModuleType) -> None:
    """Five come into a segment of fifty and nobody leaves: of five coins all one way, 2 / 2 ** 5 = .06."""
    there = np.ones(500, dtype=bool)
    then, now = np.arange(500) < 50, np.arange(500) < 55
    assert module._share_change(then, there, now, there)["p_value"] > 2 / 2**5


Check = Callable[[ModuleType], None]
MUTANTS: dict[str, tuple[ModuleType, str, str, Check]] = {
    "the last rule wins": (tags, "matched: Bools = codes < 0", "matched: Bools = codes < 99", the_first_rule_wins),
    "one condition is enough": (
        tags, "matched = matched & condition", "matched = (codes < 0) & condition", all_conditions_hold,
    ),
    "tags in the order of the list": (
        tags, "                        visit(by_name[column], (*path, tag.name))", "                        pass",
        layers_come_after_their_bases,
    ),
    "a range with its end": (conditions, "(numbers < self.high)", "(numbers <= self.high)", ranges_are_half_open),
    "a missing text is the last one": (
        conditions, "*(text in values for text in self._texts), False]", "*(text in values for text in self._texts)]",
        missing_texts_are_none_of_them,
    ),
    "a missing number is 0": (
        conditions, "(column.numbers(self), self.value) & ~column.missing", "(column.numbers(self), self.value)",
        missing_whole_numbers_are_not_zero,
    ),
    "the day of the cutoff counts": (
        rhythm, "exp.Paren(this=exp.Sub(this=until.copy(), expression=literal(1)))", "until.copy()",
        the_day_of_the_cutoff_is_not_over,
    ),
    "the cutoff is seen": (
        rhythm, 'seen = exp.LT(this=_column("seen_us"), expression=until)',
        'seen = exp.LTE(this=_column("seen_us"), expression=until)', the_cutoff_itself_is_the_future,
    ),
    "the silence judges itself": (
        rhythm, 'exp.Coalesce(this=_column("usual_before")', 'exp.Coalesce(this=_column("usual")',
        the_rhythm_before_a_silence_judges_it,
    ),
    "known when it happened": (
        rhythm, 'exp.func("GREATEST", at.copy(), _microseconds(known))', "at", known_late_is_seen_late,
    ),
    "rhythms of one cutoff for all": (
        rhythm, "if self._rhythms is None or self._recorded:", "if self._rhythms is None:", known_late_is_seen_late,
    ),
    "later than three rhythms": (
        lifecycle, "silence >= rules.late_after * rhythm", "silence > rules.late_after * rhythm",
        at_three_rhythms_late_at_six_lost,
    ),
    "settled a visit later": (lifecycle, "since_return + 1 <", "since_return <", won_back_until_settled),
    "moves are the draws": (
        migrations, "residuals = hits - share * trials", "residuals = np.sqrt(share * (1 - share) * trials)",
        customers_are_the_draws,
    ),
    "absent stays absent": (migrations, "left &= states[:, 1:] != start", "pass", absent_twice_is_no_move),
    "stays from before count": (
        dwell, "seen = there & (first > 0) &", "seen = there &", stays_begun_before_are_left_out,
    ),
    "the end of the table ends stays": (
        dwell, "over = end < columns", "over = end <= columns", who_stays_on_is_not_over,
    ),
    "as Bonferroni": (
        drift, "np.arange(len(order), 0, -1)", "np.full(len(order), len(order))", holm_goes_down_the_list,
    ),
    "sides are strangers": (
        drift, "own[then] += (below_now - theta) / len(old)", "own = np.append(own, (below_now - theta) / len(old))",
        both_sides_of_a_customer_are_one_draw,
    ),
    "a handful is many": (drift, "stdtr(moved - 1,", "stdtr(1e9,", a_handful_proves_little),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_dies(name: str, tmp_path: Path) -> None:
    module, old, new, check = MUTANTS[name]
    dies(check, module, old, new, tmp_path)
