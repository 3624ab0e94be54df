"""A registered model as a Spark UDF: the scores are those of the bundle, to the last bit."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

import crmml as cm
from tests.bundle.bundles import LATER, bundle, log

pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'crmml[mlflow]'")


@pytest.fixture
def process(spark: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Spark's Python workers run this Python; what MLflow's own loader leaves in the environment is taken back."""
    before = dict(os.environ)
    monkeypatch.setattr(spark.sparkContext, "pythonExec", sys.executable)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    yield spark
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.filterwarnings("ignore")  # MLflow's and Spark's words about each other
@pytest.mark.parametrize(
    ("kind", "column", "kind_of_result"),
    [("churn", "p_churn", "double"), ("value", "clv", "double"), ("rfm", "segment", "string")],
)
def test_scores_of_a_spark_udf(kind: str, column: str, kind_of_result: str, process: Any, tmp_path: Path) -> None:
    import mlflow
    from pyspark.sql import functions

    store = f"sqlite:///{tmp_path}/mlflow.db"
    known = bundle(kind)
    cm.register(known, kind, tracking_uri=store)
    population = None if known.target is None else known.target.population
    features = cm.build_features(log(), known.features, LATER, population=population).reset_index()
    mlflow.set_tracking_uri(store)
    try:
        udf = mlflow.pyfunc.spark_udf(
            process, f"models:/{kind}@champion", result_type=kind_of_result, env_manager="local"
        )
        table = process.createDataFrame(features).repartition(3)
        scored = table.select("customer_id", udf(functions.struct(*known.features.names)).alias("score")).toPandas()
    finally:
        mlflow.set_tracking_uri(None)
    expected = known.score(log(), LATER, details=False).set_index("customer_id")[column]
    assert len(scored) == len(expected)
    found = scored.set_index("customer_id")["score"].loc[expected.index]
    assert found.tolist() == expected.tolist()  # equal, not nearly equal
