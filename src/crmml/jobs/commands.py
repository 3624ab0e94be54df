"""What each command of `crmml` does: read a configuration, run the job, print what came of it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from crmml.bundle import Bundle
from crmml.bundle.core import check_place
from crmml.data.files import as_path, atomic_file, check_writable, write_bytes
from crmml.data.log import InteractionLog
from crmml.data.prepared import is_prepared, open_prepared
from crmml.data.roles import Constant, Roles
from crmml.data.time import moment_of, moments_of, spoken
from crmml.errors import ConfigError, did_you_mean
from crmml.features.interactions import ItemWeights
from crmml.features.presets import as_feature_set
from crmml.features.targets import Target
from crmml.insight.tag_history import tag_report
from crmml.jobs.backtest import backtest
from crmml.jobs.monitor import monitor
from crmml.jobs.promote import Contenders, promote
from crmml.jobs.registry import register, rollback
from crmml.jobs.score import plan_score, score
from crmml.jobs.tags import TAGS, build_tags
from crmml.jobs.tracking import load_bundle, track
from crmml.jobs.train import train
from crmml.jobs.verify import verify
from crmml.spec import completed, from_data, read_config, to_data
from crmml.yaml_text import write_yaml

# The keyword arguments of the jobs; `clean` is a list of what InteractionLog.clean takes.
KEYS = (
    *("log", "clean", "features", "target", "model", "as_of", "tags", "lifecycle", "bundles", "bundle"),
    *("name", "refit", "again", "by", "out", "k", "details", "parts", "scores", "false_alarms", "least_psi"),
)
# The exit code of a promotion that is refused: nothing went wrong, and the answer is no.
NOT_PROVEN = 3
_YAML = (".yaml", ".yml")


def check(*, source: str, horizon: str | None, window: str | None, constant: str | None, **columns: str | None) -> None:
    """`crmml check`."""
    given = {role: column for role, column in columns.items() if column is not None}
    asked: dict[str, Any] = {}
    if (_is_config(source) or is_prepared(source)) and (given or constant is not None):
        what = "a configuration" if _is_config(source) else "a prepared log"
        raise ConfigError(f"{source}: {what} names the columns itself. Leave these options out.")
    if _is_config(source):
        config = _config(source, "check", needs=("log",), takes=("clean", "target"))
        log, asked = _log(config), _asked(config.get("target"))
    elif is_prepared(source):
        log = open_prepared(source)
    else:
        log = InteractionLog.from_roles(source, _roles(source, given, constant))
    asked |= {name: value for name, value in (("horizon", horizon), ("window", window)) if value is not None}
    print(log.check(**asked))


def prepare(*, config: str, out: str, buckets: int | None) -> None:
    """`crmml prepare`."""
    log = _log(_config(config, "prepare", needs=("log",), takes=("clean",))).prepare(out, buckets=buckets)
    files = log.bucket_files or ()
    size = sum(file.stat().st_size for file in files) / 1e6
    print(_lines([("events", f"{log.facts.rows:,}"), ("files", f"{len(files)}, {size:,.1f} MB"), ("written", out)]))


def train_config(
    *,
    config: str,
    out: str,
    overwrite: bool,
    backtest_first: bool,
    experiment: str | None,
    until: str | None,
    tracking_uri: str | None,
) -> None:
    """`crmml train`."""
    arguments = _arguments(config, "train", train, until)
    check_place(as_path(out, "train: --out"), overwrite=overwrite)
    report = None
    if backtest_first:
        report = backtest(**arguments)
        print(report, end="\n\n")
    bundle = train(**arguments)
    if report is not None:
        bundle.metrics = report.metrics
    folder = bundle.save(out, overwrite=overwrite)
    print(_lines([*_summary(bundle), ("saved in", folder)]))
    if experiment is not None:
        uri = track(bundle, report, experiment=experiment, tracking_uri=tracking_uri)
        print(_lines([("tracked as", uri)]))


def backtest_config(*, config: str, until: str | None, html: str | None) -> None:
    """`crmml backtest`."""
    arguments = _arguments(config, "backtest", backtest, until)
    if html is not None:
        check_writable(Path(html).parent)
    report = backtest(**arguments)
    print(report)
    if html is not None:
        print(f"\n{_lines([('written', report.to_html(html))])}")


def score_log(
    *,
    bundle: str,
    source: str | None,
    as_of: str | None,
    out: str | None,
    parts: int | None,
    dry_run: bool,
    tracking_uri: str | None,
) -> None:
    """`crmml score`."""
    given = {"as_of": as_of, "out": out, "parts": parts}
    asked = _of_bundle(score, bundle, source, given, tracking_uri=tracking_uri)
    if "out" not in asked:
        raise ConfigError(f"{source or bundle}: where to? Add --out scores, or the key 'out' to a configuration.")
    print(plan_score(**asked) if dry_run else _lines([("written", score(**asked))]))


def verify_scores(*, folder: str) -> None:
    """`crmml verify`."""
    found = verify(folder)
    cutoffs = ", ".join(spoken(cutoff) for cutoff in found.as_of)
    pairs = [("verified", found.path), ("model_id", found.model_id), ("as of", cutoffs)]
    print(_lines([*pairs, ("rows", f"{found.rows:,}"), ("customers", f"{found.customers:,}")]))


def monitor_log(
    *,
    bundle: str,
    source: str | None,
    as_of: str | None,
    scores: str | None,
    table: str | None,
    picture: str | None,
    tracking_uri: str | None,
) -> int:
    """`crmml monitor`; the exit code."""
    for place in (table, picture):
        if place is not None:
            check_writable(Path(place).parent)
    given = {"as_of": as_of, "scores": scores}
    report = monitor(**_of_bundle(monitor, bundle, source, given, tracking_uri=tracking_uri))
    print(report)
    written = []
    if table is not None:
        write_bytes(table, report.table.to_csv(index=False).encode())
        written.append(table)
    if picture is not None:
        with atomic_file(picture) as temporary:
            report.figure().savefig(temporary, format=Path(picture).suffix.removeprefix(".") or "png")
        written.append(picture)
    if written:
        print("\n" + _lines([("written", file) for file in written]))
    return report.exit_code


def _of_bundle(
    job: Callable[..., Any], bundle: str, source: str | None, given: Mapping[str, Any], *, tracking_uri: str | None
) -> dict[str, Any]:
    """The keyword arguments of a job that has a bundle: those of a configuration, where `given` does not say more."""
    asked: dict[str, Any] = {}
    if source is None:
        # Without `clean`: the bundle cleans a log as it was cleaned in training.
        takes = tuple(key for key in KEYS if key in inspect.signature(job).parameters)
        asked = _config(bundle, job.__name__, needs=("log", "bundle"), takes=takes)
    found = asked | {key: value for key, value in given.items() if value is not None}
    if "as_of" not in found:
        where = source or bundle
        raise ConfigError(f"{where}: as of when? Add --as-of 2024-10-01, or the key 'as_of' to a configuration.")
    loaded = load_bundle(asked.get("bundle", bundle), tracking_uri=tracking_uri)
    log = asked["log"] if source is None else _log_for(loaded, source, job.__name__)
    return found | {"bundle": loaded, "log": log}


def _log_for(bundle: Bundle, source: str, command: str) -> InteractionLog:
    """A log to score: that of a configuration, a prepared one, or a file with the columns of the training log."""
    if _is_config(source):
        # Without `clean`: the bundle cleans a log as it was cleaned in training.
        log: InteractionLog = _config(source, command, needs=("log",))["log"]
        return log
    return open_prepared(source) if is_prepared(source) else InteractionLog.from_roles(source, bundle.roles)


def register_bundle(*, bundle: str, name: str, alias: str | None, tracking_uri: str | None) -> None:
    """`crmml register`."""
    print(_lines([("registered", register(bundle, name, alias=alias, tracking_uri=tracking_uri))]))


def promote_config(*, config: str, until: str | None, again: bool, tracking_uri: str | None) -> int:
    """`crmml promote`: 3 where the champion stays."""
    # Without `clean`: each bundle cleans the log as it was cleaned in its training.
    built = _config(config, "promote", needs=("name", "log", "as_of"), takes=("refit", "again"))
    if until is not None:
        built["as_of"] = _measurable(config, built, until, tracking_uri)
    promotion = promote(**built | ({"again": True} if again else {}), tracking_uri=tracking_uri)
    print(promotion)
    return 0 if promotion.moved else NOT_PROVEN


def _measurable(path: str, built: Mapping[str, Any], until: str, tracking_uri: str | None) -> tuple[pd.Timestamp, ...]:
    """Of the cutoffs, those whose outcome is known at the moment `until`.

    Where the bundles are compared as they were fitted, only those whose outcome neither of both has learned from.
    """
    found = Contenders.of(built["name"], tracking_uri)
    target = found.bundles["champion"].target
    latest = min(moment_of(until, "--until"), *(log.complete_until for log in found.cleaned(built["log"]).values()))
    known = _known(path, built["as_of"], target, latest)
    if built.get("refit", True) or target is None:
        return known
    learned = max(bundle.training_cutoffs[-1] for bundle in found.bundles.values()) + target.reach
    unseen = tuple(cutoff for cutoff in known if cutoff >= learned)
    if not unseen:
        raise ConfigError(
            f"{path}: champion and challenger have learned from what happened until {spoken(learned)}, and of no date "
            f"in as_of from then on the outcome is known by {spoken(latest)}. Use --until "
            f"{spoken(learned + target.reach)} or later, `refit: true`, or train on earlier dates."
        )
    return unseen


def rollback_name(*, name: str, tracking_uri: str | None) -> None:
    """`crmml rollback`."""
    print(_lines([("champion", rollback(name, tracking_uri=tracking_uri))]))


def tag(*, config: str, as_of: str | None, out: str) -> None:
    """`crmml tag`."""
    takes = ("clean", "lifecycle", "bundles", *(("as_of",) if as_of is None else ()))
    built = _config(config, "tag", needs=("log", "features", "tags"), takes=takes)
    cutoffs = built.get("as_of") if as_of is None else as_of
    if cutoffs is None:
        raise ConfigError(f"{config}: the key 'as_of' is missing. Add it, or use --as-of 2024-10-01.")
    more = {key: built[key] for key in ("lifecycle", "bundles") if key in built}
    table = build_tags(_log(built), built["features"], built["tags"], cutoffs, out=out, **more)
    print(tag_report(table))
    print(f"\n{_lines([('written', Path(out) / TAGS)])}")


def show(*, source: str, expand: bool, tracking_uri: str | None) -> None:
    """`crmml show`."""
    if not _is_config(source):
        if expand:
            raise ConfigError(f"{source}: --expand is for a configuration. A bundle shows all its features.")
        bundle = load_bundle(source, tracking_uri=tracking_uri)
        print(_lines([*_summary(bundle), *_definitions(bundle)]))
        return
    data = _checked(source)
    # Built although only data is shown, so that a wrong value is found; the log's file need not be there.
    from_data({key: value for key, value in data.items() if key != "log"}, source)
    if expand and isinstance(data.get("features"), str):
        log = _log(_config(source, "show --expand", needs=("log",), takes=("clean",)))
        data["features"] = to_data(as_feature_set(data["features"], log))
    print(write_yaml({key: completed(value, f"{source}: {key}") for key, value in data.items()}), end="")


def sql(*, config: str, dialect: str, as_of: str | None) -> None:
    """`crmml sql`."""
    takes = ("clean", "as_of") if as_of is None else ("clean",)
    built = _config(config, "sql", needs=("log", "features"), takes=takes)
    features, log = built["features"], _log(built)
    if isinstance(features, ItemWeights):
        raise ConfigError(
            f"{config}: features is {features!r}, which is no table of features. "
            "Use a configuration with features, such as `features: rfm`."
        )
    cutoffs = built.get("as_of") if as_of is None else as_of
    if cutoffs is None:
        raise ConfigError(f"{config}: the key 'as_of' is missing. Add it, or use --as-of 2024-10-01.")
    print(as_feature_set(features, log).sql(log, cutoffs, dialect=dialect))


# Reading a configuration ----------------------------------------------------------------------------------


def _is_config(source: str) -> bool:
    return Path(source).suffix.lower() in _YAML


def _checked(path: str) -> dict[str, Any]:
    """The data of a configuration, with keys that exist."""
    data = read_config(path)
    for key in data:
        if key not in KEYS:
            hint = did_you_mean(key, KEYS) or f" The keys are: {', '.join(KEYS)}."
            raise ConfigError(f"{path}: no key '{key}'.{hint}")
    return data


def _config(path: str, command: str, *, needs: tuple[str, ...], takes: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values of the keys that a command needs, or takes where they are there; no other is built."""
    data = _checked(path)
    missing = [key for key in needs if key not in data]
    if missing:
        raise ConfigError(
            f"{path}: the key '{missing[0]}' is missing. crmml {command} needs {', '.join(needs)}: "
            f"add `{missing[0]}: ...`."
        )
    wanted = {key: data[key] for key in data if key in {*needs, *takes}}
    built: dict[str, Any] = from_data(wanted, path)
    if not isinstance(built["log"], InteractionLog):
        raise ConfigError(f"{path}: log is {built['log']!r}. Use `log: {{InteractionLog: {{source: ...}}}}`.")
    return built


def _arguments(path: str, command: str, job: Callable[..., Any], until: str | None) -> dict[str, Any]:
    """The keyword arguments of a job; a configuration without a target has none, as segments.

    Of the cutoffs, those whose outcome is known at the moment `until`.
    """
    parameters = inspect.signature(job).parameters
    keys = [key for key in KEYS if key in parameters and key != "target"]
    needs = tuple(key for key in keys if parameters[key].default is inspect.Parameter.empty)
    built = _config(path, command, needs=needs, takes=("clean", "target", *keys))
    found = {"target": None} | {key: built[key] for key in built if key in parameters} | {"log": _log(built)}
    if until is not None:
        latest = min(moment_of(until, "--until"), found["log"].complete_until)
        found["as_of"] = _known(path, found["as_of"], found["target"], latest)
    return found


def _known(path: str, as_of: Any, target: Target | None, until: pd.Timestamp) -> tuple[pd.Timestamp, ...]:
    cutoffs = moments_of(as_of)
    reach = pd.Timedelta(0) if target is None else target.reach
    known = tuple(cutoff for cutoff in cutoffs if cutoff + reach <= until)
    if not known:
        raise ConfigError(
            f"{path}: of no date in as_of the outcome is known by {spoken(until)}. Use --until "
            f"{spoken(cutoffs[0] + reach)} or later, or an earlier date in as_of."
        )
    return known


def _log(built: Mapping[str, Any]) -> InteractionLog:
    log: InteractionLog = built["log"]
    steps = built.get("clean") or []
    return log.clean(*(steps if isinstance(steps, list) else [steps])) if steps else log


def _asked(target: Any) -> dict[str, Any]:
    """What `check` is asked: the target's horizon, window and event."""
    if target is None:
        return {}
    event_type = target.event_type if isinstance(target.event_type, str) else None
    asked = {"horizon": target.horizon, "window": target.active_within, "event_type": event_type}
    return {name: value for name, value in asked.items() if value is not None}


def _roles(source: str, given: dict[str, str], constant: str | None) -> Roles:
    for role in ("customer_id", "timestamp"):
        if role not in given:
            option = f"--{role.replace('_', '-')}"
            raise ConfigError(
                f"{source}: which column is the {role}? Add {option} and the name of the column, "
                f"for example {option} {role}; or give a configuration (.yaml) that says so."
            )
    if constant is None:
        return Roles(**given)
    if "event_type" in given:
        raise ConfigError(f"{source}: --event-type and --constant exclude each other. Leave one of them out.")
    return Roles(**given, event_type=Constant(constant))


# Printing -------------------------------------------------------------------------------------------------


def _summary(bundle: Bundle) -> list[tuple[str, object]]:
    """What a bundle is, and how good it was."""
    return [
        ("model_id", bundle.model_id),
        ("model", " ".join(repr(bundle.model).split())),
        ("target", repr(bundle.target)),
        ("trained as of", ", ".join(spoken(cutoff) for cutoff in bundle.training_cutoffs)),
        *((name, f"{value:.4g}") for name, value in bundle.metrics.items() if isinstance(value, float)),
    ]


def _definitions(bundle: Bundle) -> list[tuple[str, object]]:
    """What a bundle reads: the log, its cleaning, its features one by one."""
    features = bundle.features
    each = [features] if isinstance(features, ItemWeights) else list(features)
    return [
        ("log", repr(bundle.roles)),
        *(("cleaned by", repr(step)) for step in bundle.cleaning),
        *(("" if number else "features", repr(feature)) for number, feature in enumerate(each)),
    ]


def _lines(pairs: Sequence[tuple[str, object]]) -> str:
    return "\n".join(f"{name:<15} {text}" for name, text in pairs)
