"""The SQL text for another engine."""

import pytest
import sqlglot

import crmml as cm

LOG = cm.simulate_log(20, seed=1).log
FEATURES = cm.FeatureSet([cm.Recency(), cm.Std("amount"), cm.Gap(stat="std"), cm.NUnique("item_id"), cm.Latest("plan")])


@pytest.mark.parametrize("dialect", ["duckdb", "spark", "databricks", "bigquery"])
def test_the_text_is_one_statement_of_its_dialect_and_names_no_function_of_another(dialect: str) -> None:
    text = FEATURES.sql(LOG, "2024-06-01", dialect=dialect)
    assert len(sqlglot.parse(text, dialect=dialect)) == 1
    if dialect != "duckdb":
        assert "epoch_us" not in text.lower()
        assert "make_timestamp" not in text.lower()


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(cm.ConfigError) as caught:
        FEATURES.sql(LOG, "2024-06-01", dialect="duckdbb")
    assert str(caught.value) == (
        "dialect 'duckdbb' is not supported. Did you mean 'duckdb'? Use one of duckdb, spark, databricks, bigquery."
    )
