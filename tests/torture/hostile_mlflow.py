"""Hostile models in an MLflow store: the `MLmodel` beside a good bundle claims what it likes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.bundle.bundles import forge, put, saved
from tests.torture.hostile import problem_of
from tests.torture.hostile_files import Attack, npz, objects
from tests.torture.nursery import Nursery

_EVIL = "import os\nos.system('touch executed')\n"


def claimed(old: str, new: str) -> Attack:
    """Another text in MLmodel; the code that it may name is there."""

    def attack(root: Path) -> None:
        path = root / "MLmodel"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        (root / "code").mkdir(exist_ok=True)
        (root / "code" / "evil.py").write_text(_EVIL)

    return attack


def said(text: str) -> Attack:
    """Another MLmodel altogether."""
    return lambda root: (root / "MLmodel").write_text(text)


def linked_model(root: Path) -> None:
    (root / "MLmodel").unlink()
    (root / "MLmodel").symlink_to("/etc/passwd")


def a_folder(root: Path) -> None:
    (root / "MLmodel").unlink()
    (root / "MLmodel").mkdir()


def inside(attack: Attack) -> Attack:
    """MLmodel is as it was; the bundle is not."""
    return lambda root: attack(root / "data" / "bundle")


ATTACKS: dict[str, Attack] = {
    "MLflow: another loader": claimed("loader_module: crmml.jobs.tracking", "loader_module: evil"),
    "MLflow: a path of code": claimed("  python_function:\n", "  python_function:\n    code: code\n"),
    "MLflow: a model that is a script": claimed("  python_function:\n", "  python_function:\n    model_code_path: x\n"),
    "MLflow: a pickled model": claimed("  python_function:\n", "  python_function:\n    python_model: model.pkl\n"),
    "MLflow: an environment that installs": claimed("  python_function:\n", "  python_function:\n    env: evil.yaml\n"),
    "MLflow: another flavor": claimed("flavors:\n", "flavors:\n  sklearn:\n    pickled_model: model.pkl\n"),
    "MLflow: data outside of the model": claimed("data: data/bundle", "data: ../../../../etc"),
    "MLflow: an object of Python": said("flavors: !!python/object/apply:os.system ['touch executed']\n"),
    "MLflow: a billion laughs": said("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"),
    "MLflow: 100,000 open brackets": said("flavors: " + "[" * 100_000),
    "MLflow: 30 MB of text": said("flavors: " + "x" * 30_000_000),
    "MLflow: no YAML": said("flavors: [\n\t}"),
    "MLflow: a link for its description": linked_model,
    "MLflow: a folder for its description": a_folder,
    "MLflow: a bundle with code beside it": inside(lambda folder: (folder / "evil.py").write_text(_EVIL)),
    "MLflow: a bundle with a pickle in it": inside(npz(lambda m: m.__setitem__("calibration.npy", objects()))),
    "MLflow: a bundle of the future": inside(lambda folder: forge(folder, put("format", 999))),
}


def attacked(root: Path, every: int = 1) -> Iterator[str]:
    """The attacks, each done to the model's folder, which is as it was after that."""
    good = root.with_name("good-model")
    shutil.copytree(root, good)
    for name, attack in [*ATTACKS.items()][::every]:
        attack(root)
        yield name
        shutil.rmtree(root)
        shutil.copytree(good, root)


def run(nursery: Nursery, place: Path, every: int = 1) -> dict[str, str]:
    """Load every hostile model by its URI (or one of so many); what each of them managed to do, "" where nothing."""
    store = f"sqlite:///{place / 'mlflow.db'}"
    uri = nursery.value("track", str(saved("churn", place)), store)
    (model,) = place.glob("mlruns/**/MLmodel")
    found = {}
    for name in attacked(model.parent, every):
        found[name] = problem_of(name, nursery.one("load", uri, str(model.parent), store))
        assert not Path("executed").exists(), name
    return found
