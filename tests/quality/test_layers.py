"""The layout holds: layers, file sizes, light imports, no forbidden words."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "automl_pheno"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("tensorflow", "keras", "jax", "sklearn", "optuna", "shap", "matplotlib", "scipy", "distributed", "pandas")


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_after(code: str) -> set[str]:
    text = run_python(f"import sys\n{code}\nprint('loaded:', *[m for m in {HEAVY!r} if m in sys.modules])")
    return set(text.splitlines()[-1].removeprefix("loaded:").split())


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_has_at_most_400_lines(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 400, f"{path} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_is_documented_and_complete(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstring = ast.get_docstring(tree)
    assert docstring, f"{path} has no docstring"
    assert "TODO" not in docstring
    raised = {node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)}
    names = {n.id for e in raised if e is not None for n in ast.walk(e) if isinstance(n, ast.Name)}
    assert "NotImplementedError" not in names, f"{path} holds a stub"


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "base", "core"])
def test_no_room_without_a_subject(name: str) -> None:
    assert not [path for path in MODULES if path.stem == name or path.parent.name == name]


def test_every_python_folder_is_a_package() -> None:
    for folder in {path.parent for path in MODULES}:
        assert (folder / "__init__.py").is_file(), folder


def test_layers() -> None:
    """The same contracts as `lint-imports`; needs the development tools."""
    pytest.importorskip("importlinter")
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=PACKAGE.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import automl_pheno") == set()


def test_help_loads_nothing_heavy() -> None:
    assert loaded_after("from automl_pheno.cli import main\nassert main(['--help']) == 0") == set()


def test_check_loads_no_deep_learning_library(repository: Path) -> None:
    space = repository / "search_spaces" / "cnn.yaml"
    loaded = loaded_after(f"from automl_pheno.cli import main\nassert main(['check', {str(space)!r}]) == 0")
    assert loaded & {"tensorflow", "keras", "jax", "sklearn", "optuna", "shap", "matplotlib", "distributed"} == set()
