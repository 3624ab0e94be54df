"""The command `crmml`: the jobs from a shell, with a configuration file in place of Python.

A configuration is the call: its keys are the keyword arguments of the jobs, its values what one would write in
Python. The exit codes stand in `EXIT_CODES`, and in docs/tasks/operate.md.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from crmml import __version__
from crmml.errors import CrmmlError

DONE, WRONG_INPUT, WRONG_USAGE, LOOK, INTERRUPTED = 0, 1, 2, 3, 130
EXIT_CODES = {
    DONE: "done",
    WRONG_INPUT: "something in the input is wrong: one message on standard error, the same as in Python",
    WRONG_USAGE: "wrong usage: an unknown command or option",
    LOOK: "done, and somebody should look: an alarm of `monitor`; the champion stays after `promote`",
    INTERRUPTED: "interrupted by Ctrl-C",
}

# Command -> (what it does, more about it, examples). The tests run every example.
_COMMANDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "demo": (
        "run everything once, on a simulated log with known truth",
        "Simulates a log, checks it, backtests churn and value beside simple rules, finds segments, recommends, "
        "trains, tracks, scores, and compares the scores with the truth. Writes only below --out.",
        ("crmml demo --out demo",),
    ),
    "check": (
        "what is in a log, what is wrong with it, and what it is ready for",
        "Takes a configuration, or a log file (Parquet or CSV) and the names of its columns.",
        (
            "crmml check configs/churn.yaml",
            "crmml check demo/events.parquet --customer-id customer_id --timestamp timestamp --event-type event_type",
        ),
    ),
    "prepare": (
        "write the log of a configuration by customer and time, so that large logs are read in little memory",
        "Cleans it as the configuration says. What was interrupted goes on. Other commands take the folder as a log, "
        "a configuration as `log: {open_prepared: {path: demo/prepared}}`.",
        ("crmml prepare configs/churn.yaml --out demo/prepared", "crmml check demo/prepared"),
    ),
    "train": (
        "fit the model of a configuration and save it as a bundle",
        "Trains on all cutoffs of the configuration. A bundle is a folder that holds everything it takes to score.",
        (
            "crmml train configs/churn.yaml --out demo/bundles/churn",
            "crmml train configs/nightly.yaml --until 2025-01-01 --out demo/bundles/nightly",
        ),
    ),
    "backtest": (
        "how good would the scores have been, at earlier cutoffs, beside simple rules",
        "Trains and scores at every cutoff of the configuration, never with data from after it.",
        ("crmml backtest configs/value.yaml --html demo/value.html",),
    ),
    "score": (
        "score the customers of a log with a bundle, into Parquet",
        "The log is a file with the columns of the training log, or the log of a configuration. A configuration alone "
        "has the keys log, bundle, as_of and out.",
        ("crmml score demo/bundles/churn demo/events.parquet --as-of 2024-12-01 --out demo/scores/churn",),
    ),
    "register": (
        "give a bundle a name, as the challenger of its champion",
        "The first bundle of a name becomes its champion. Afterwards models:/NAME@champion can be scored with.",
        ("crmml register demo/bundles/churn churn",),
    ),
    "promote": (
        "make the challenger champion, where it is proven to be better",
        "The configuration says `name`, `log` and `as_of`, the rolling cutoffs at which both are measured. "
        "Exit code 3: it is not proven to be better, or was rolled back before, and the champion stays.",
        ("crmml promote churn.yaml", "crmml promote churn.yaml --until 2024-11-01"),
    ),
    "rollback": (
        "make the previous champion the champion again",
        "One step: what is repeated in doubt is refused, and changes nothing.",
        ("crmml rollback churn",),
    ),
    "verify": (
        "are the scores in a folder whole, and still what was written",
        "Reads every byte again: digest, page checksums, rows, customers, and whether they belong to _SUCCESS.json.",
        ("crmml verify demo/scores/churn",),
    ),
    "monitor": (
        "has the log changed since the training, and were earlier predictions right",
        "Compares features, scores and customers with the training cutoffs, and predictions with what happened since. "
        "Exit code 3 where there is an alarm. A configuration has the keys log, bundle and as_of.",
        (
            "crmml monitor demo/bundles/churn demo/events.parquet --as-of 2024-12-01",
            "crmml monitor demo/bundles/churn demo/events.parquet --as-of 2024-12-01 --table demo/drift.csv",
        ),
    ),
    "tag": (
        "what every customer is called, by the rules of a configuration, into Parquet",
        "The first rule of a tag that matches wins. Prints how many have each tag, and which tags go together.",
        ("crmml tag configs/tags.yaml --as-of 2024-12-01 --out demo/tags",),
    ),
    "show": (
        "a configuration with every default written out, or what is in a bundle",
        "What is printed for a configuration is a configuration again, and means the same.",
        ("crmml show configs/churn.yaml", "crmml show demo/bundles/churn"),
    ),
    "sql": (
        "the SQL that builds the features of a configuration",
        "One text, made of named steps, for DuckDB or another engine.",
        ("crmml sql configs/churn.yaml --as-of 2024-06-01", "crmml sql configs/churn.yaml --dialect spark"),
    ),
}
_ROLES = ("item-id", "amount", "quantity", "channel", "event-id", "recorded-at")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code.

    >>> main(["--version"])
    Traceback (most recent call last):
        ...
    SystemExit: 0
    """
    arguments = vars(_parser().parse_args(argv))
    command, debug = arguments.pop("command"), arguments.pop("debug", False)
    try:
        code = _function(command)(**arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough (`crmml sql ... | head`); say nothing more, also at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if debug:
            raise
        print(f"crmml: {_message(error)}", file=sys.stderr)
        return WRONG_INPUT
    return code if isinstance(code, int) else DONE


def _message(error: Exception) -> str:
    if isinstance(error, CrmmlError):
        return str(error)
    return (
        f"unexpected {type(error).__name__}: {error}. "
        "This is a mistake in crmml: run it again with --debug, and report what that prints."
    )


def _function(command: str) -> Callable[..., object]:
    # Here, so that `crmml --help` does not wait for the heavy packages.
    from crmml.jobs import commands, demo

    functions: dict[str, Callable[..., object]] = {
        "demo": demo.demo,
        "check": commands.check,
        "prepare": commands.prepare,
        "train": commands.train_config,
        "backtest": commands.backtest_config,
        "score": commands.score_log,
        "verify": commands.verify_scores,
        "monitor": commands.monitor_log,
        "register": commands.register_bundle,
        "promote": commands.promote_config,
        "rollback": commands.rollback_name,
        "tag": commands.tag,
        "show": commands.show,
        "sql": commands.sql,
    }
    return functions[command]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crmml",
        description="Customer insight from raw interaction logs.",
        epilog="Begin with `crmml demo`. Every command explains itself: `crmml train --help`.",
        allow_abbrev=False,  # an option that is added later must not change what a script says
    )
    parser.add_argument("--version", action="version", version=f"crmml {__version__}")
    _add_debug(parser, default=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    adders = (
        _add_demo, _add_check, _add_prepare, _add_train, _add_backtest, _add_score, _add_register, _add_promote,
        _add_rollback, _add_verify, _add_monitor, _add_tag, _add_show, _add_sql,
    )  # fmt: skip
    for (name, (summary, more, examples)), add in zip(_COMMANDS.items(), adders, strict=True):
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}. {more}",
            epilog="\n".join(["examples:", *(f"  {example}" for example in examples)]),
            formatter_class=_Help,
            allow_abbrev=False,
        )
        _add_debug(command, default=argparse.SUPPRESS)
        add(command)
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    """Wraps the description, and leaves the examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def _add_debug(parser: argparse.ArgumentParser, *, default: bool | str) -> None:
    parser.add_argument("--debug", action="store_true", default=default, help="show the traceback of an error")


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a YAML file, such as configs/churn.yaml")


def _add_until(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--until", metavar="TIME", help="of the cutoffs, only those whose outcome is known then, such as 2025-01-01"
    )


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="the MLflow store (default: MLFLOW_TRACKING_URI, or ./mlflow.db)"
    )


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="FOLDER", default="demo", help="where to write (default: demo)")
    parser.add_argument(
        "--customers", metavar="N", type=int, default=2000, help="size of the simulated log (default: 2000)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="another seed, another log (default: 1)")


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="CONFIG|LOG", help="a YAML file, or a log: Parquet, CSV or a prepared folder")
    parser.add_argument("--customer-id", metavar="COLUMN", help="the column with the customer's id")
    parser.add_argument("--timestamp", metavar="COLUMN", help="the column with the time of the event")
    parser.add_argument("--event-type", metavar="COLUMN", help="the column with the kind of event")
    parser.add_argument("--constant", metavar="TYPE", help="the one kind of event, where there is no such column")
    for role in _ROLES:
        parser.add_argument(f"--{role}", metavar="COLUMN", help=f"the column with the {role.replace('-', ' ')}")
    parser.add_argument("--timezone", metavar="ZONE", help="the zone of times without one, such as Europe/Berlin")
    parser.add_argument("--horizon", metavar="DURATION", help="how far ahead labels will look, such as 60d")
    parser.add_argument("--window", metavar="DURATION", help="how far back activity counts, such as 180d")


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    _add_config(parser)
    parser.add_argument("--out", metavar="FOLDER", required=True, help="the folder of the prepared log")
    parser.add_argument(
        "--buckets", metavar="N", type=int, help="into how many files (default: so that each has 3 million events)"
    )


def _add_train(parser: argparse.ArgumentParser) -> None:
    _add_config(parser)
    parser.add_argument("--out", metavar="BUNDLE", required=True, help="the folder of the bundle")
    parser.add_argument("--overwrite", action="store_true", help="replace the bundle that is there")
    parser.add_argument(
        "--backtest",
        action="store_true",
        dest="backtest_first",
        help="backtest first, and keep the metrics in the bundle",
    )
    _add_until(parser)
    parser.add_argument("--experiment", metavar="NAME", help="also track the bundle in this MLflow experiment")
    _add_store(parser)


def _add_backtest(parser: argparse.ArgumentParser) -> None:
    _add_config(parser)
    _add_until(parser)
    parser.add_argument("--html", metavar="FILE", help="write the report with its pictures as a page")


def _add_score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="CONFIG|BUNDLE|URI", help="a YAML file; or a folder or URI, and then a log")
    parser.add_argument(
        "source", metavar="CONFIG|LOG", nargs="?", help="a YAML file, or a log: Parquet, CSV or a prepared folder"
    )
    parser.add_argument("--as-of", metavar="TIME", help="the cutoff, such as 2024-10-01 (default: configuration)")
    parser.add_argument("--out", metavar="FOLDER", help="where the scores are written (default: configuration)")
    parser.add_argument(
        "--parts",
        metavar="N",
        type=int,
        help="how many parts to divide the customers into (default: by their number)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done; nothing is written")
    _add_store(parser)


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="where crmml score wrote to")


def _add_monitor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="CONFIG|BUNDLE|URI", help="a YAML file; or a folder or URI, and then a log")
    parser.add_argument("source", metavar="CONFIG|LOG", nargs="?", help="a YAML file, or a log, as for score")
    parser.add_argument("--as-of", metavar="TIME", help="the cutoff, such as 2024-10-01 (default: configuration)")
    parser.add_argument("--scores", metavar="FILE", help="earlier scores that crmml score wrote, to be measured")
    parser.add_argument("--table", metavar="FILE", help="write all comparisons as CSV")
    parser.add_argument("--picture", metavar="FILE", help="write what moved most as a picture (PNG, SVG or PDF)")
    _add_store(parser)


def _add_register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE|URI", help="a folder, or a URI such as models:/m-...")
    parser.add_argument("name", metavar="NAME", help="of the registered model, such as churn")
    parser.add_argument("--alias", help="challenger, or champion: without any comparison (default: see above)")
    _add_store(parser)


def _add_promote(parser: argparse.ArgumentParser) -> None:
    _add_config(parser)
    _add_until(parser)
    parser.add_argument("--again", action="store_true", help="also a version that was rolled back before")
    _add_store(parser)


def _add_rollback(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the registered model, such as churn")
    _add_store(parser)


def _add_tag(parser: argparse.ArgumentParser) -> None:
    _add_config(parser)
    parser.add_argument("--as-of", metavar="TIME", help="the cutoff (default: all cutoffs of the configuration)")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="where the tags are written")


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="CONFIG|BUNDLE|URI", help="a YAML file, a bundle's folder, or its URI")
    parser.add_argument("--expand", action="store_true", help="write the features of a preset out; this reads the log")
    _add_store(parser)


def _add_sql(parser: argparse.ArgumentParser) -> None:
    _add_config(parser)
    parser.add_argument("--dialect", default="duckdb", help="duckdb, spark, ... (default: duckdb)")
    parser.add_argument("--as-of", metavar="TIME", help="the cutoff (default: all cutoffs of the configuration)")
