"""`Bundle`: what was trained, as one value that is saved, loaded and scored with."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from crmml import __version__
from crmml.bundle import format as files
from crmml.bundle.lists import build_lists
from crmml.bundle.probe import PREFIX, check_probe, make_probe
from crmml.bundle.reference import LIST_COLUMNS, Reference
from crmml.bundle.reference import PREFIX as REFERENCE
from crmml.bundle.scoring import check_parts, left_already, nobody, score_rows, task_of, watched
from crmml.data.cleaning import CleaningStep
from crmml.data.files import as_path, atomic_folder, check_writable
from crmml.data.roles import Roles
from crmml.data.time import AsOf, moments_of, spoken
from crmml.errors import BundleError, ConfigError, CrmmlError, MissingExtraError
from crmml.features.datasets import build_features
from crmml.features.feature_set import FeatureSet
from crmml.features.interactions import ItemWeights
from crmml.features.targets import Target
from crmml.spec import completed, from_data, to_data

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

# The constructors of a configuration that read files or fill memory: not in a bundle.
_NOT_VALUES = ("InteractionLog", "cutoffs", "open_prepared")
# Names of definitions in bundles of earlier versions, and what they are called now.
_RENAMED = {"Interactions": "ItemWeights"}
_MODEL_ID = re.compile(r"[0-9a-f]{12}")
_KEYS = (
    *("format", "crmml", "packages", "model_id", "features", "target", "model", "state", "roles", "cleaning"),
    *("training_cutoffs", "fingerprint", "metrics"),
)


class Bundle:
    """Definitions, target and fitted model: everything that it takes to score a log, in one value.

    A bundle rebuilds population and features from the log itself, so that training and serving cannot differ.
    On disk it is a folder of text and arrays (docs/bundle.md); loading executes nothing.

    Args:
        features: the FeatureSet whose columns the model was fitted on; `ItemWeights` for a recommender.
        target: what is predicted; None for segments.
        model: the fitted estimator or recommender.
        roles: the roles of the columns in the training log, `log.roles`.
        training_cutoffs: the cutoffs of the training rows.
        metrics: numbers to keep with it, by name, such as those of a backtest.
        cleaning: the cleaning steps of the training log, `log.cleaning`: a log without steps gets them too.
        fingerprint: the digest of the training tables.
        reference: how the training rows were distributed, for monitoring; None where that is not known.

    Attributes:
        model_id: the first 12 hexadecimal digits of the digest of all that decides a score.

    Raises:
        ConfigError: the parts do not belong together.
        SchemaError: the model was fitted on other columns than the features make.

    >>> import crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> features, churn = cm.presets.rfm(log), cm.Churn("60d", event_type="purchase")
    >>> X, y = cm.build_dataset(log, features, churn, "2024-06-01")
    >>> model = cm.ChurnClassifier().fit(X, y)
    >>> bundle = cm.Bundle(features, churn, model, roles=log.roles, training_cutoffs=["2024-06-01"])
    >>> bundle.score(log, "2024-09-01").columns.tolist()
    ['customer_id', 'as_of', 'p_churn', 'percentile', 'risk_band', 'reasons', 'model_id']
    """

    def __init__(
        self,
        features: FeatureSet | ItemWeights,
        target: Target | None,
        model: Any,
        *,
        roles: Roles,
        training_cutoffs: Sequence[AsOf],
        metrics: Mapping[str, Any] | None = None,
        cleaning: Sequence[CleaningStep] = (),
        fingerprint: str = "",
        reference: Reference | None = None,
    ) -> None:
        check_parts(features, target, model)
        self.features = features
        self.target = target
        self.model = model
        self.roles = roles
        self.training_cutoffs = moments_of(training_cutoffs, "training cutoff")
        self.metrics = dict(metrics or {})
        self.cleaning = tuple(cleaning)
        self.fingerprint = fingerprint
        self.reference = reference
        self.model_id = files.identity(self._content())[:12]

    @property
    def task(self) -> str:
        """What is predicted: "binary", "value", "segment" or "items"."""
        return task_of(self.features, self.target)

    def __repr__(self) -> str:
        cutoffs = ", ".join(spoken(cutoff) for cutoff in self.training_cutoffs)
        return (
            f"Bundle(model_id={self.model_id!r}, model={self.model!r}, target={self.target!r}, trained as of {cutoffs})"
        )

    # Scoring ----------------------------------------------------------------------------------------------

    def score(
        self,
        log: "InteractionLog",
        as_of: AsOf | Sequence[AsOf],
        *,
        k: int = 10,
        everyone: bool = False,
        details: bool = True,
    ) -> pd.DataFrame:
        """The scores of the target's population as of one or many cutoffs.

        Args:
            log: the interactions; its columns may have other names than in training, its roles count.
            as_of: the cutoffs.
            k: length of a recommended list.
            everyone: also give a row, without a score and with `eligible` False, to the customers who have left
                already: those with a history of the target's events, but none within its `active_within`.
            details: what the model says besides the score; its reasons take longer than the scores themselves.

        Returns:
            One row per customer and cutoff, sorted by both: `customer_id`, `as_of`, the score columns, `model_id`.
            The score columns are the target's name (`p_churn`, `p_repurchase`), or `clv`, `clv_lo`, `clv_hi`, or
            `segment`; then what the model says besides, such as `reasons` (see its `details`); then `eligible`
            where the target has an `active_within`. How many have left already stands in `attrs["not_eligible"]`.
            Recommenders: one row per customer, cutoff and rank, with `item_id`, `rank`, `score`.

        Raises:
            SchemaError: the log lacks what the features need.
            ConfigError: the log was cleaned otherwise; a cutoff lies outside the log.
            DataError: nobody is in the population; values cannot be used.
        """
        if not hasattr(log, "cleaning"):
            raise ConfigError(
                f"Bundle.score: log is a {type(log).__name__}. Use InteractionLog(source, customer_id=..., ...)."
            )
        cleaned = self.cleaned(log)
        cutoffs = moments_of(as_of)
        table = (
            self._lists(cleaned, cutoffs, k)
            if self.task == "items"
            else self._table(cleaned, cutoffs, everyone, details)
        )
        if table.empty:
            raise nobody(self.target, cutoffs)
        return table.assign(model_id=self.model_id)

    def _table(
        self, log: "InteractionLog", cutoffs: Sequence[pd.Timestamp], everyone: bool, details: bool
    ) -> pd.DataFrame:
        population = None if self.target is None else self.target.population
        features = self.features
        assert isinstance(features, FeatureSet)  # noqa: S101 (the task says so)
        rows = build_features(log, features, cutoffs, population=population, known_event_types=False)
        table = score_rows(self.model, self.target, rows, details=details)
        active = watched(self.target)
        if table.empty or active is None:
            return table
        left = left_already(log, active, rows.index, cutoffs)
        if everyone:
            both = pd.concat([table, left.assign(eligible=False)])
            table = both.sort_values(["customer_id", "as_of"], ignore_index=True)
        table.attrs["not_eligible"] = len(left)
        return table

    def _lists(self, log: "InteractionLog", cutoffs: Sequence[pd.Timestamp], k: int) -> pd.DataFrame:
        features = self.features
        assert isinstance(features, ItemWeights)  # noqa: S101 (the task says so)
        tables = []
        for cutoff in cutoffs:
            table = build_lists(log, features, self.target, self.model, as_of=cutoff, k=k)
            table.insert(1, "as_of", pd.Series(cutoff, index=table.index, dtype="datetime64[us, UTC]"))
            tables.append(table)
        order = ["customer_id", "as_of", "rank"]
        return pd.concat(tables, ignore_index=True).sort_values(order, ignore_index=True)

    def cleaned(self, log: "InteractionLog") -> "InteractionLog":
        """The log, cleaned as in training.

        Raises:
            ConfigError: the log brings other steps of its own.
        """
        if log.cleaning == self.cleaning:
            return log
        if not log.cleaning:
            return log.clean(*self.cleaning)
        raise ConfigError(
            f"score: the log was cleaned by {list(log.cleaning)}, but the training log by {list(self.cleaning)}: "
            "the features would mean something else. Give the log without cleaning: the bundle cleans it as in "
            "training."
        )

    # On disk ----------------------------------------------------------------------------------------------

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the bundle as a folder, whole or not at all.

        Args:
            path: the folder; its parents are made.
            overwrite: whether another bundle there may be replaced. Nothing else is ever replaced.

        Returns:
            The folder.

        Raises:
            ConfigError: there is something else at `path`, or it cannot be written to.
            BundleError: the model's state has no place in a bundle.
            DataError: the disk failed; what was there is unchanged.

        >>> import tempfile, crmml as cm
        >>> folder = Path(tempfile.mkdtemp()) / "bundle"
        >>> table = pd.DataFrame({"customer_id": [1, 2], "item_id": ["tea", "cup"], "weight": [1.0, 2.0]})
        >>> model, roles = cm.Popularity().fit(table), cm.Roles(customer_id="user", timestamp="ts", item_id="sku")
        >>> bundle = cm.Bundle(cm.ItemWeights(), None, model, roles=roles, training_cutoffs=["2024-06-01"])
        >>> sorted(file.name for file in bundle.save(folder).iterdir())
        ['arrays.npz', 'bundle.json']
        """
        folder = as_path(path, "save")
        check_place(folder, overwrite=overwrite)
        encoded = self._encoded()
        with atomic_folder(folder) as temporary:
            for name, data in encoded.items():
                (temporary / name).write_bytes(data)
        return folder

    def _encoded(self) -> dict[str, bytes]:
        """The files of the bundle by name."""
        probe = make_probe(self.features, self.target, self.model)
        content = self._content({**probe, **({} if self.reference is None else self.reference.arrays())})
        content.document["model_id"] = self.model_id
        return files.encode(content)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a bundle: every byte is checked against its digest, then the probe is scored again.

        Nothing in the folder is executed, and nothing is built that is not public in crmml. Digests show damage,
        not who made a bundle: they are no signature.

        Raises:
            BundleError: a file is missing, added or changed; a newer format; something that is not public; other
                scores than when it was saved.
            MissingExtraError: the model needs a package that is not installed.

        >>> import crmml as cm
        >>> cm.Bundle.load("nowhere")
        Traceback (most recent call last):
            ...
        crmml.errors.BundleError: nowhere: there is no such folder. Give the folder that Bundle.save() wrote.
        """
        folder = as_path(path, "load")
        content = files.read(folder)
        where = folder / files.MANIFEST
        document = _checked_document(content.document, where)
        document["features"] = _renamed(document["features"])
        features = _built(document, "features", FeatureSet | ItemWeights, where)
        target = _built(document, "target", Target | None, where)
        model = _built(document, "model", object, where)
        roles = _built(document, "roles", Roles, where)
        cleaning = _built(document, "cleaning", list, where)
        state_arrays = {key: a for key, a in content.arrays.items() if not key.startswith((PREFIX, REFERENCE))}
        probe, reference = (
            {key: array for key, array in content.arrays.items() if key.startswith(prefix)}
            for prefix in (PREFIX, REFERENCE)
        )
        _restore(model, {**document["state"], **content.texts, **state_arrays}, where)
        try:
            bundle = cls(
                features,
                target,
                model,
                roles=roles,
                training_cutoffs=document["training_cutoffs"],
                metrics=document["metrics"],
                cleaning=cleaning,
                fingerprint=document["fingerprint"],
            )
        except CrmmlError as error:
            raise BundleError(f"{where}: {error}") from None
        check_probe(features, target, model, probe, folder)
        if reference:
            bundle.reference = Reference.from_arrays(reference, getattr(features, "names", LIST_COLUMNS), folder)
        bundle.model_id = document["model_id"]  # of the version that made it: defaults added since do not change it
        return bundle

    def _content(self, more_arrays: Mapping[str, Any] | None = None) -> files.Content:
        """The bundle as JSON, texts and arrays; a state's texts become files, its arrays stand in arrays.npz."""
        state = self.model.get_state()
        texts = {key: value for key, value in state.items() if isinstance(value, str)}
        arrays = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
        document = {
            "crmml": __version__,
            "packages": files.versions(),
            "model_id": "",
            # Completed, so that a default which changes later does not change what was trained.
            "features": completed(to_data(self.features)),
            "target": completed(to_data(self.target)),
            "model": completed(to_data(self.model)),
            "state": {key: value for key, value in state.items() if key not in texts and key not in arrays},
            "roles": completed(to_data(self.roles)),
            "cleaning": completed(to_data(list(self.cleaning))),
            "training_cutoffs": [cutoff.isoformat() for cutoff in self.training_cutoffs],
            "fingerprint": self.fingerprint,
            "metrics": self.metrics,
        }
        return files.Content(document, texts, {**arrays, **(more_arrays or {})})


def check_place(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that a bundle cannot be saved in; asked for before the model is trained, too."""
    check_writable(folder.parent)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / files.MANIFEST).is_file():
        raise ConfigError(f"{folder}: there is something else than a bundle. Give another path, or remove it.")
    if not overwrite:
        raise ConfigError(
            f"{folder}: there is a bundle already. Give another path, or replace it with "
            f"save({str(folder)!r}, overwrite=True)."
        )


def _checked_document(document: dict[str, Any], where: Path) -> dict[str, Any]:
    """The document with all its keys, each of its kind."""
    kinds = {"state": dict, "packages": dict, "metrics": dict, "training_cutoffs": list, "fingerprint": str}
    problem = ""
    if tuple(document) != _KEYS:
        problem = f"has the keys {', '.join(document)} instead of {', '.join(_KEYS)}"
    elif not all(isinstance(document[key], kind) for key, kind in kinds.items()):
        key = next(key for key, kind in kinds.items() if not isinstance(document[key], kind))
        problem = f"has {document[key]!r} as {key}"
    elif not _MODEL_ID.fullmatch(str(document["model_id"])):
        problem = f"has {document['model_id']!r} as model_id"
    if problem:
        raise BundleError(f"{where}: {problem}. Save the bundle again with Bundle.save().")
    return document


def _built(document: dict[str, Any], key: str, kind: Any, where: Path) -> Any:
    """The value of `key`: only public definitions and estimators, and of the kind that belongs there."""
    try:
        _refuse_non_values(document[key], f"{where}: {key}")
        value = from_data({key: document[key]}, str(where))[key]
    except MissingExtraError:
        raise
    except CrmmlError as error:
        raise BundleError(str(error)) from None
    if not isinstance(value, kind):
        raise BundleError(f"{where}: {key} cannot be {value!r}. Save the bundle again with Bundle.save().")
    return value


def _renamed(definition: Any) -> Any:
    """A definition by its present name, whatever it was called when the bundle was saved."""
    if isinstance(definition, dict) and len(definition) == 1:
        ((name, arguments),) = definition.items()
        return {_RENAMED.get(name, name): arguments}
    return definition


def _refuse_non_values(data: Any, where: str) -> None:
    if isinstance(data, list):
        for item in data:
            _refuse_non_values(item, where)
    elif isinstance(data, dict):
        if len(data) == 1 and (name := next(iter(data))) in _NOT_VALUES:
            raise BundleError(f"{where}: a bundle cannot hold {name}. Train it anew.")
        for item in data.values():
            _refuse_non_values(item, where)


def _restore(model: Any, state: dict[str, Any], where: Path) -> None:
    """Give the model its state; whatever goes wrong in there, the bundle is to blame."""
    if not callable(getattr(model, "set_state", None)):
        raise BundleError(f"{where}: model cannot be {model!r}. Save the bundle again with Bundle.save().")
    try:
        model.set_state(state)
    except MissingExtraError:
        raise
    except Exception as error:  # the parsers behind it raise what they like
        problem = str(error) if isinstance(error, CrmmlError) else f"{type(error).__name__}: {error}"
        raise BundleError(f"{where}: the model cannot be read back: {problem}") from error
