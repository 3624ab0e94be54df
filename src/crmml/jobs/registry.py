"""`register` and `rollback`: named models whose champion can be relied on, whatever is killed while it changes.

A name has versions; aliases say which of them is meant: `champion` scores, `challenger` waits to be compared,
`previous` is what the champion replaced. MLflow writes one alias at a time, so a change of champion is several
writes. What is being changed is noted first (a tag of the name), and whoever comes next finishes it, or takes it
back where the champion had not moved yet. The alias `champion` itself is moved by one write, and never deleted.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from crmml.bundle import Bundle
from crmml.data.time import spoken
from crmml.errors import ConfigError, DataError
from crmml.jobs.store import client_of, first_touch, quiet_mlflow, store_of, typed
from crmml.jobs.tracking import load_bundle, logged_model_of, track

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
# The name of a move that has begun and not ended, among the tags of a registered model.
MOVE = "crmml.move"
MODEL_ID = "crmml.model_id"
# The day on which a version that was champion had to give way again, among its tags.
ROLLED_BACK = "crmml.rolled_back"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Aliases:
    """The versions that the three aliases of a name point at; None where an alias is not set.

    >>> Aliases(champion="2", previous="1")
    Aliases(champion='2', challenger=None, previous='1')
    """

    champion: str | None = None
    challenger: str | None = None
    previous: str | None = None


def register(
    bundle: Bundle | str | Path,
    name: str,
    *,
    alias: str | None = None,
    tracking_uri: str | None = None,
) -> str:
    """Give a bundle a name: the next version of it, as its challenger, or as its champion where there is none yet.

    The bundle that is registered already under this name gets no second version: registering again does no harm.

    Args:
        bundle: a Bundle or the path of its folder, which is tracked first (experiment: the name); or the URI that
            `track` returned, which is loaded to see that it is a bundle of crmml.
        name: of the registered model: letters, digits, dots, dashes and underscores.
        alias: "challenger" or "champion"; by default "champion" where the name has none, otherwise "challenger".
            A champion that is replaced in this way, without any comparison, is kept as `previous`.
        tracking_uri: the MLflow store; the default is that of `track`.

    Returns:
        The URI of the version, `models:/<name>/<version>`. `models:/<name>@champion` stays the same from version to
        version; `score`, `load_bundle` and the command line take both.

    Raises:
        ConfigError: the name or the alias cannot be used; the store cannot be written to.
        BundleError: the model is damaged, or no bundle.
        DataError: the store cannot be reached or fails.
        MissingExtraError: mlflow is not installed.

    >>> import tempfile, crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> bundle = cm.train(log, "rfm", None, cm.RFMSegmenter(), "2024-06-01")
    >>> store = f"sqlite:///{tempfile.mkdtemp()}/mlflow.db"
    >>> cm.register(bundle, "segments", tracking_uri=store)
    'models:/segments/1'
    >>> cm.load_bundle("models:/segments@champion", tracking_uri=store).model_id == bundle.model_id
    True
    """
    checked_name("register", name)
    if alias not in (None, CHAMPION, CHALLENGER):
        raise ConfigError(
            f"register: alias is {alias!r}. Use 'challenger', or 'champion' to replace the champion without a "
            "comparison; 'previous' is set by what replaces a champion."
        )
    loaded = load_bundle(bundle, tracking_uri=tracking_uri)
    registry = Registry.open("register", name, tracking_uri)
    version = registry.version_of(loaded.model_id)
    if version is None:
        uri = bundle if isinstance(bundle, str) and bundle.startswith(("models:/", "runs:/")) else None
        uri = uri or track(loaded, experiment=name, tracking_uri=tracking_uri)
        version = registry.add(uri, loaded.model_id)
    with registry.changing() as (client, now):
        if alias == CHAMPION or (alias is None and now.champion is None):
            registry.move(client, now, version)
        elif version != now.champion:  # the champion challenging itself would say nothing
            client.set_registered_model_alias(name, CHALLENGER, version)
    return f"models:/{name}/{version}"


def rollback(name: str, *, tracking_uri: str | None = None) -> str:
    """Make the previous champion the champion again, and say which version that is.

    One step, and only one: afterwards there is no `previous`, so that a rollback that is repeated (by a scheduler,
    or by somebody in doubt) is refused and cannot bring the failed model back. Versions are never deleted; the one
    that gives way gets the day as its tag `crmml.rolled_back`, and `promote` leaves it where it is from then on.

    Args:
        name: of the registered model.
        tracking_uri: the MLflow store; the default is that of `track`.

    Returns:
        The URI of the version that is champion now, `models:/<name>/<version>`.

    Raises:
        DataError: there is no such name, nothing to go back to, or the store fails.
        BundleError: the previous champion is damaged; the champion stays.
        ConfigError: the name cannot be used.
        MissingExtraError: mlflow is not installed.

    >>> import tempfile, crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> old, new = (cm.train(log, "rfm", None, cm.RFMSegmenter(), day) for day in ("2024-06-01", "2024-09-01"))
    >>> store = f"sqlite:///{tempfile.mkdtemp()}/mlflow.db"
    >>> _ = cm.register(old, "segments", tracking_uri=store)
    >>> cm.register(new, "segments", alias="champion", tracking_uri=store)
    'models:/segments/2'
    >>> cm.rollback("segments", tracking_uri=store)
    'models:/segments/1'
    """
    checked_name("rollback", name)
    registry = Registry.open("rollback", name, tracking_uri)
    back = registry.aliases().previous
    if back is not None:  # while the champion still stands: what cannot be loaded must not become it
        load_bundle(f"models:/{name}/{back}", tracking_uri=tracking_uri)
    with registry.changing() as (client, now):
        if back is None or now.previous != back or now.champion == back:
            raise DataError(
                f"rollback: {name!r} has no previous champion, so that version {now.champion} stays champion. To use "
                f"another version without a comparison: register('models:/{name}/VERSION', {name!r}, alias='champion')."
            )
        registry.move(client, now, back, rolled_back=spoken(pd.Timestamp.now("UTC").normalize()))
    return f"models:/{name}/{back}"


def checked_name(job: str, name: object) -> None:
    """Refuse what cannot stand in `models:/<name>@champion`.

    >>> checked_name("register", "churn@shop")
    Traceback (most recent call last):
        ...
    crmml.errors.ConfigError: register: name is 'churn@shop'. Use letters, digits, dots, dashes and underscores, such \
as 'churn'.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{job}: name is {name!r}. Use letters, digits, dots, dashes and underscores, such as 'churn'."
        )


class Registry:
    """One name in the registry of a store: its versions and its aliases.

    Use `open`, which needs mlflow; everything here speaks to the store, and raises its errors as DataError.
    """

    def __init__(self, job: str, name: str, store: str, tracking_uri: str | None) -> None:
        self.job, self.name, self.store, self.tracking_uri = job, name, store, tracking_uri

    @classmethod
    def open(cls, job: str, name: str, tracking_uri: str | None) -> Self:
        """The registry of the store that `tracking_uri` means; nothing is asked of it yet."""
        return cls(job, name, store_of(tracking_uri), tracking_uri)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A client of the store, with its errors as ours."""
        with quiet_mlflow(f"{self.job}()"), typed(f"{self.job}: {self.store}"):
            yield client_of(self.store)

    @contextmanager
    def changing(self) -> Iterator[tuple[Any, Aliases]]:
        """Hold the aliases: what a killed process left half done is settled first, then they stand as given.

        Processes on one local store wait for each other. A tracking server has no lock to hold: of two changes at
        the same moment the later one wins there, and `champion` points at one of the two.
        """
        with self.client() as client, first_touch(self.store):
            yield client, self._settled(client)

    def aliases(self) -> Aliases:
        """The aliases as they are, once what was left half done is settled.

        Raises:
            DataError: there is no such name.
        """
        with self.changing() as (_, now):
            return now

    def version_of(self, model_id: str) -> str | None:
        """The newest version that holds this bundle, or None."""
        with self.client() as client:
            found = client.search_model_versions(f"name = '{self.name}'")
            mine = [int(one.version) for one in found if one.tags.get(MODEL_ID) == model_id]
            return str(max(mine)) if mine else None

    def add(self, uri: str, model_id: str) -> str:
        """Make the model at `uri` the next version of the name, which is made where it is absent."""
        from mlflow.exceptions import MlflowException

        with self.client() as client, first_touch(self.store):
            source, run, model = logged_model_of(client, uri)
            try:
                client.get_registered_model(self.name)
            except MlflowException:
                client.create_registered_model(self.name)
            made = client.create_model_version(
                self.name, source=source, run_id=run, model_id=model, tags={MODEL_ID: model_id}
            )
            return str(made.version)

    def move(self, client: Any, now: Aliases, version: str, *, rolled_back: str | None = None) -> None:
        """Make `version` the champion; the champion until now becomes `previous`.

        In a rollback nothing becomes `previous`, and the champion until now is marked with the day, `rolled_back`.

        First the note, then the champion in one write, then what follows from it: killed anywhere between, the
        champion is the old one or the new one, and the note says how to end.
        """
        if version == now.champion:
            return
        challenger = None if now.challenger == version else now.challenger
        then = Aliases(champion=version, challenger=challenger, previous=None if rolled_back else now.champion)
        marks = {str(now.champion): rolled_back} if rolled_back else {}
        client.set_registered_model_tag(self.name, MOVE, json.dumps({"to": vars(then), ROLLED_BACK: marks}))
        client.set_registered_model_alias(self.name, CHAMPION, version)
        self._finish(client, then, marks)

    def rolled_back(self, client: Any, version: str) -> str | None:
        """The day on which a version was last rolled back, None where it never was."""
        found = client.get_model_version(self.name, version).tags.get(ROLLED_BACK)
        return None if found is None else str(found)

    def _settled(self, client: Any) -> Aliases:
        """The aliases, after a move that was interrupted: finished if the champion has moved, else forgotten."""
        found = client.get_registered_model(self.name)
        ours = (CHAMPION, CHALLENGER, PREVIOUS)
        now = Aliases(**{alias: str(version) for alias, version in found.aliases.items() if alias in ours})
        if MOVE not in found.tags:
            return now
        noted = json.loads(found.tags[MOVE])
        then = Aliases(**noted["to"])
        if now.champion != then.champion:
            client.delete_registered_model_tag(self.name, MOVE)
            return now
        self._finish(client, then, noted.get(ROLLED_BACK, {}))
        return then

    def _finish(self, client: Any, then: Aliases, marks: Mapping[str, str]) -> None:
        """What follows once the champion has moved; done twice, it is as if done once. The note goes last."""
        for failed, day in marks.items():
            client.set_model_version_tag(self.name, failed, ROLLED_BACK, day)
        for alias, version in ((PREVIOUS, then.previous), (CHALLENGER, then.challenger)):
            if version is None:
                client.delete_registered_model_alias(self.name, alias)
            else:
                client.set_registered_model_alias(self.name, alias, version)
        client.delete_registered_model_tag(self.name, MOVE)
