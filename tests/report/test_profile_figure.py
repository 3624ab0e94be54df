"""The picture of profiles shows what the table holds."""

import numpy as np
import pandas as pd
import pytest

import crmml as cm

pytest.importorskip("matplotlib")


def profiles() -> cm.SegmentProfiles:
    rng = np.random.default_rng(0)
    labels = ["few"] * 30 + ["many"] * 20 + ["noise"] * 10
    visits = np.concatenate([np.full(30, 1.0), np.full(20, 9.0), np.full(10, 1.0)])
    table = pd.DataFrame({"visits": visits, "spend": visits + rng.random(60), "age": rng.normal(size=60)})
    words = {"age": "a very long name that nobody could read in a picture"}
    return cm.profile_segments(table, labels, value="spend", made_from=["visits"], words=words)


def test_the_picture_shows_shares_and_effects() -> None:
    shown = profiles()
    figure = cm.profile_figure(shown)
    shares, effects = figure.axes
    assert [label.get_text() for label in shares.get_yticklabels()] == ["few", "many", "noise"]
    bars = [patch.get_width() for patch in shares.patches]
    assert bars[:3] == [30 / 60, 20 / 60, 10 / 60]
    assert bars[3:] == pytest.approx(shown.segments["share_of_value"].tolist())
    matrix = np.asarray(effects.images[0].get_array())
    wide = shown.effects.set_index(["segment", "column"])["effect"]
    names = ["visits", "spend", "age"]
    assert matrix[:, :2] == pytest.approx(np.array([[wide[s, c] for c in names[:2]] for s in ("few", "many", "noise")]))
    labels = effects.get_xticklabels()
    assert [label.get_text() for label in labels] == ["visits", "spend", "a very long name that nobody c.."]
    assert [label.get_fontstyle() for label in labels] == ["italic", "normal", "normal"]


def test_a_star_is_proven_and_what_is_next_to_nothing_has_no_number() -> None:
    shown = profiles()
    effects = cm.profile_figure(shown).axes[1]
    texts = {(round(text.get_position()[0]), round(text.get_position()[1])): text.get_text() for text in effects.texts}
    rows = {segment: number for number, segment in enumerate(shown.segments["segment"])}
    columns = {"visits": 0, "spend": 1, "age": 2}
    for row in shown.effects.to_dict("records"):
        expected = f"{row['effect']:+.2f}{'*' if row['proven'] else ''}" if abs(row["effect"]) >= 0.147 else None
        assert texts.get((columns[row["column"]], rows[row["segment"]])) == expected
    assert any(text.endswith("*") for text in texts.values())


def test_the_columns_shown_are_those_with_the_largest_effects() -> None:
    figure = cm.profile_figure(profiles(), most=1)
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["visits"]


def test_bad_input_is_refused() -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.profile_figure(profiles(), most=0)
    assert str(caught.value) == "profile_figure: most is 0. Use a whole number of at least 1, such as most=12."
    one = cm.profile_segments(pd.DataFrame({"x": [1.0, 2.0]}), ["a", "a"])
    with pytest.raises(cm.ConfigError) as caught:
        cm.profile_figure(one)
    assert str(caught.value) == (
        "profile_figure: there is one segment, and nothing to compare it with. Use two or more."
    )
