"""Every night: python examples/nightly.py [DAY, such as 2025-01-01; default: today]

A log has arrived (configs/nightly.yaml says where). Train on the dates whose outcome is known by now; challenge the
champion, who gives way only to what is proven better on dates that neither has seen; look whether anything has
changed; score as of today; read the scores back. Killed anywhere, run it again. Exit code 3: look at the monitor.
"""

import sys
from pathlib import Path

import pandas as pd

import crmml as cm

today = pd.Timestamp(sys.argv[1] if len(sys.argv) > 1 else "now", tz="UTC").normalize()
config = cm.load_config(Path(__file__).parents[1] / "configs" / "nightly.yaml")
log, features, target, model, name = (config[key] for key in ("log", "features", "target", "model", "name"))
champion = f"models:/{name}@champion"

known = [date for date in config["as_of"] if date + target.reach <= min(today, log.complete_until)]
unseen = known[-3:]  # for the comparison, so the training ends a horizon before them
bundle = cm.train(log, features, target, model, as_of=[date for date in known if date + target.reach <= unseen[0]])
print("trained:", cm.register(bundle, name), f"on outcomes known by {unseen[0].date()}")

watch = cm.monitor(champion, log, today)  # the champion until now, with the log of today
print(watch)
if cm.load_bundle(champion).model_id != bundle.model_id:  # most nights no outcome is new, and the bundle is the same
    print(cm.promote(name, log, unseen, refit=config["refit"]))

folder = f"scores/{name}/{today.date()}"
cm.score(champion, log, as_of=today, out=folder)
found, learned = cm.verify(folder), cm.load_bundle(champion).training_cutoffs[-1]
print(f"scored: {found.rows:,} customers as of {today.date()} by {found.model_id}, in {found.path}")
print(f"which has learned from dates until {learned.date()}, and what happened in {target.horizon} after them")
sys.exit(watch.exit_code)
