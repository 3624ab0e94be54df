"""Tags of a log: as of a day they are what that day would have said; what refers to nothing is refused at once."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given

import crmml as cm
from crmml.features.datasets import build_features
from crmml.jobs.cli import main
from tests.features.oracle_rows import Row
from tests.features.strategies import EPOCH, budget, log_of, stamp
from tests.features.test_future_invariance import two_futures

FEATURES = [cm.Recency(), cm.Count(window="1w"), cm.Sum("amount"), cm.Latest("channel"), cm.Gap()]
RULES = cm.Lifecycle("2d", late_after=1.5, lost_after=3.0)
TAGS = [
    cm.Tag(
        "worth",
        [
            cm.TagRule("high", where={"sum_amount": cm.AtLeast(20)}),
            cm.TagRule("low", where={"sum_amount": cm.Between(-5, 20), "recency": cm.Below(4)}),
        ],
    ),
    cm.Tag(
        "place",
        [
            cm.TagRule("web", where={"latest_channel": ["web", ""]}),
            cm.TagRule("none", where={"latest_channel": cm.Missing()}),
        ],
    ),
    cm.Tag(
        "call",
        [
            cm.TagRule("now", where={"worth": "high", "lifecycle": ["declining", "lost"]}),
            cm.TagRule("later", where={"count_1w": cm.AtLeast(2), "place": cm.Not("web")}),
        ],
    ),
]


@budget(5, 500)
@given(two_futures())
def test_no_tag_sees_the_future(futures: tuple[list[Row], list[Row]]) -> None:
    first, second = (cm.build_tags(log_of(rows), FEATURES, TAGS, stamp(EPOCH), lifecycle=RULES) for rows in futures)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


@pytest.fixture(scope="module")
def log() -> cm.InteractionLog:
    return cm.simulate_log(400, seed=2).log


CUTOFFS = ["2024-03-01", "2024-06-01", "2024-09-01"]
LIFE = cm.Lifecycle("20d", event_type="purchase")
CALL = cm.Tag("call", [cm.TagRule("now", where={"lifecycle": ["declining", "lost"], "recency": cm.Above(3)})])


def test_many_cutoffs_are_each_alone(log: cm.InteractionLog) -> None:
    together = cm.build_tags(log, [cm.Recency()], [CALL], CUTOFFS, lifecycle=LIFE)
    for cutoff in CUTOFFS:
        alone = cm.build_tags(log, [cm.Recency()], [CALL], cutoff, lifecycle=LIFE)
        mine = together[together["as_of"] == pd.Timestamp(cutoff, tz="UTC")].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, mine)


def test_only_what_rules_look_at_is_built(log: cm.InteractionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[str, ...]] = []

    def spied(log: Any, features: cm.FeatureSet, as_of: Any) -> pd.DataFrame:
        built.append(features.names)
        return build_features(log, features, as_of)

    monkeypatch.setattr("crmml.jobs.tags.build_features", spied)
    cm.build_tags(
        log, "standard", [cm.Tag("a", [cm.TagRule("b", where={"recency_purchase": cm.Below(9)})])], CUTOFFS[0]
    )
    assert built == [("recency_purchase",)]


def test_scores_and_segments_of_bundles_can_be_looked_at(log: cm.InteractionLog, tmp_path: Path) -> None:
    rfm = cm.train(log, "rfm", None, cm.RFMSegmenter(), CUTOFFS[0])
    value = cm.train(log, "rfm", cm.Spend("60d"), cm.LifetimeValueRegressor(num_iterations=5), CUTOFFS[0])
    folder = rfm.save(tmp_path / "rfm")
    keys = ["customer_id", "as_of"]
    scores = value.score(log, CUTOFFS[1]).merge(rfm.score(log, CUTOFFS[1])[[*keys, "segment"]], how="outer", on=keys)
    middle = float(scores["clv"].median())
    tags = [
        cm.Tag("best", [cm.TagRule("yes", where={"rfm": ["Champions", "Loyal"], "clv": cm.AtLeast(middle)})]),
        cm.Tag("worst", [cm.TagRule("yes", where={"best": cm.Missing(), "rfm": "Lost"})]),
    ]
    found = cm.build_tags(log, "rfm", tags, CUTOFFS[1], bundles={"rfm": folder, "value": value})
    best = scores["segment"].isin(["Champions", "Loyal"]) & (scores["clv"] >= middle)
    assert 0 < best.sum() < len(best)
    assert set(found.loc[found["best"] == "yes", "customer_id"]) == set(scores.loc[best, "customer_id"])
    assert found["worst"].eq("yes").sum() == scores["segment"].eq("Lost").sum() > 0


def test_the_table_is_written_whole(log: cm.InteractionLog, tmp_path: Path) -> None:
    found = cm.build_tags(log, [cm.Recency()], [CALL], CUTOFFS, lifecycle=LIFE, out=tmp_path / "tags")
    assert [file.name for file in (tmp_path / "tags").iterdir()] == ["tags.parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "tags" / "tags.parquet"), found)


def test_p_alive_of_an_unfitted_model_is_fitted_at_each_cutoff(log: cm.InteractionLog) -> None:
    together = cm.build_p_alive(log, cm.BGNBD(), CUTOFFS[:2], event_type="purchase")
    alone = cm.build_p_alive(log, cm.BGNBD(), CUTOFFS[0], event_type="purchase")
    mine = together[together["as_of"] == pd.Timestamp(CUTOFFS[0], tz="UTC")].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, mine, check_exact=True)
    table = cm.transactions(log, CUTOFFS[1], event_type="purchase")
    fitted = cm.BGNBD().fit(table)
    kept = cm.build_p_alive(log, fitted, CUTOFFS[0], event_type="purchase")
    first = cm.transactions(log, CUTOFFS[0], event_type="purchase")
    assert kept["p_alive"].tolist() == fitted.p_alive(first).tolist() != alone["p_alive"].tolist()


def test_p_alive_moves_stages(log: cm.InteractionLog) -> None:
    alive = cm.build_p_alive(log, cm.BGNBD(), CUTOFFS, event_type="purchase")
    found = cm.build_lifecycle(log, LIFE, CUTOFFS, p_alive=alive)
    assert found["p_alive"].notna().all()
    assert set(found.loc[found["segment"] == "lost", "p_alive"] < LIFE.lost_below) == {True}
    kept = found[~found["segment"].isin(["lost", "declining"])]
    assert (kept["p_alive"] >= LIFE.declining_below).all()


def one(**where: Any) -> list[cm.Tag]:
    return [cm.Tag("a", [cm.TagRule("b", where=where)])]


def test_what_cannot_be_is_refused_before_anything_is_built(log: cm.InteractionLog, tmp_path: Path) -> None:
    items = cm.train(log, cm.ItemWeights(), cm.NextItems("30d"), cm.Popularity(), CUTOFFS[0])
    rfm = cm.train(log, "rfm", None, cm.RFMSegmenter(), CUTOFFS[0])
    (tmp_path / "file").write_text("x")
    refused: list[tuple[dict[str, Any], str]] = [
        (
            {"tags": one(recncy=1)},
            "Tag('a'): rule 1 ('b') refers to 'recncy', which is neither a column nor a tag. Did you mean 'recency'? "
            "There is: 'recency', 'a'.",
        ),
        (
            {"tags": one(lifecycle="lost")},
            "build_tags: a rule looks at 'lifecycle', but there are no rules of the lifecycle. "
            "Add lifecycle=Lifecycle('30d').",
        ),
        (
            {"tags": one(recency=1), "bundles": {"items": items}},
            "build_tags: the bundle 'items' recommends items, which no rule can look at. Leave it out.",
        ),
        (
            {"tags": one(recency=1), "bundles": {"recency": rfm}},
            "build_tags: a bundle and a feature are both called 'recency'. Rename the bundle.",
        ),
        (
            {"tags": one(recency=1), "lifecycle": LIFE, "bundles": {"lifecycle": rfm}},
            "build_tags: two sources have a column 'lifecycle'. Leave one of the bundles out, or rename it in bundles.",
        ),
    ]
    for given_, message in refused:
        with pytest.raises(cm.ConfigError, match=f"^{re.escape(message)}$"):
            cm.build_tags(log, [cm.Recency()], given_.pop("tags"), CUTOFFS[0], **given_)


def test_a_model_without_p_alive_is_refused(log: cm.InteractionLog) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.build_p_alive(log, cm.RFMSegmenter(), CUTOFFS[0])
    expected = "build_p_alive: model is RFMSegmenter(), which has no P(alive). Use for example MBGNBD()."
    assert str(caught.value) == expected


CONFIG = """\
log:
  InteractionLog: {source: events.parquet, customer_id: customer_id, timestamp: timestamp, event_type: event_type}
features: [{Recency: {event_type: purchase}}]
tags:
  - Tag: {name: late, rules: [{TagRule: {value: "yes", where: {COLUMN: {Above: 90}}}}]}
"""


def test_the_command_tags_and_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cm.simulate_log(50, seed=1).events.to_parquet("events.parquet", index=False)
    Path("good.yaml").write_text(CONFIG.replace("COLUMN", "recency_purchase"))
    Path("wrong.yaml").write_text(CONFIG.replace("COLUMN", "recency_purchse"))
    assert main(["tag", "good.yaml", "--as-of", "2024-06-01", "--out", "tags"]) == 0
    printed = capsys.readouterr().out
    assert re.match(r"Tags of \d+ customers as of 2024-06-01; \d+ have none\n", printed)
    assert printed.endswith("\n\nwritten         tags/tags.parquet\n")
    assert pd.read_parquet("tags/tags.parquet").columns.tolist() == ["customer_id", "as_of", "late"]
    assert main(["tag", "good.yaml", "--out", "tags"]) == 1
    assert capsys.readouterr().err == (
        "crmml: good.yaml: the key 'as_of' is missing. Add it, or use --as-of 2024-10-01.\n"
    )
    assert main(["tag", "wrong.yaml", "--as-of", "2024-06-01", "--out", "tags"]) == 1
    assert capsys.readouterr().err == (
        "crmml: Tag('late'): rule 1 ('yes') refers to 'recency_purchse', which is neither a column nor a tag. "
        "Did you mean 'recency_purchase'? There is: 'recency_purchase', 'late'.\n"
    )
