"""The rules of the house: who may import whom, what agrees with what, and what is never committed."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.settings import VARIABLES
from tests.conftest import ROOT

FORBIDDEN = {
    "models": {"gradio", "studio", "db", "tests"},
    "db": {"gradio", "studio", "models", "tests"},
    "studio/services": {"gradio", "torch", "tests"},
    "studio": {"tests"},
}
NEVER_COMMITTED = (
    r"(?<![\w.])/(?:work|root|home/(?!user/)\w+)/",
    r"pypi\.org|pythonhosted|download\.pytorch\.org|registry\.npmjs|extra-index-url\s*=?\s*(?:http|file)",
)
MAY_NAME_PATHS = {"tests/unit/test_house.py"}
"""The rule itself; /home/user is the container's."""


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """Yield the top-level package of every import, at whatever depth of the file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_go_one_way(folder: str) -> None:
    files = sources(folder)
    assert files
    wrong = [
        f"{file.relative_to(ROOT)}: {name}" for file in files for name in imported(file) if name in FORBIDDEN[folder]
    ]
    assert not wrong


def reads_environment(file: Path) -> bool:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            if node.attr in ("environ", "getenv", "environb"):
                return True
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            if {name.name for name in node.names} & {"environ", "getenv"}:
                return True
    return False


def test_only_settings_read_the_environment() -> None:
    files = [*sources("studio"), *sources("models"), *sources("db"), ROOT / "spaces_app.py"]
    readers = {str(file.relative_to(ROOT)) for file in files if reads_environment(file)}
    assert readers == {"studio/settings.py"}


def test_requirements_agree_with_pyproject() -> None:
    check = [sys.executable, str(ROOT / ".ci" / "requirements.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def front_matter() -> dict[str, str]:
    _, block, _ = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return dict(line.split(": ", 1) for line in block.strip().splitlines() if ": " in line)


def test_front_matter_of_the_space_agrees() -> None:
    stated = front_matter()
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    gradio = next(line for line in dependencies if line.startswith("gradio"))
    assert stated["sdk"] == "gradio"
    assert gradio.endswith(f"=={stated['sdk_version']}")
    assert (ROOT / stated["app_file"]).is_file()
    assert stated["license"] == "apache-2.0"
    assert len(stated["short_description"].strip('"')) <= 60


def test_space_entry_is_short_and_serves_nothing_when_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = ROOT / "spaces_app.py"
    assert len(file.read_text().splitlines()) <= 40
    code = (
        "import sys, importlib.util as u; s = u.spec_from_file_location('spaces_app', 'spaces_app.py');"
        "m = u.module_from_spec(s); s.loader.exec_module(m);"
        "assert not m.app.is_running and not m.chosen.zero_gpu;"
        "print(type(m.app).__name__)"
    )
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MIEN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "Blocks", done.stderr


@pytest.mark.skipif(importlib.util.find_spec("spaces") is not None, reason="the spaces package is installed here")
def test_gpu_marks_change_nothing_without_the_spaces_package() -> None:
    from studio.gpu import on_gpu  # noqa: PLC0415 - only where the package is absent

    assert on_gpu(len) is len


def committed() -> list[str]:
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_committed_file_names_a_machine_or_registry() -> None:
    wrong = []
    for name in committed():
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if name not in MAY_NAME_PATHS:
            wrong += [f"{name}: {match.group()}" for rule in NEVER_COMMITTED for match in re.finditer(rule, text)]
    assert not wrong


def test_documented_variables_are_those_that_are_read() -> None:
    table = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == set(VARIABLES)


@pytest.mark.parametrize("page", ["README.md", "docs/hosting.md"])
def test_links_inside_the_repository_lead_somewhere(page: str) -> None:
    file = ROOT / page
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", file.read_text(encoding="utf-8"))
    assert not [link for link in links if not (file.parent / link).exists()]


def test_container_installs_the_packages_of_the_space() -> None:
    packages = (ROOT / "packages.txt").read_text().split()
    container = (ROOT / "Dockerfile").read_text()
    assert packages
    assert all(re.search(rf"\b{re.escape(package)}\b", container) for package in packages)


def test_continuous_integration_runs_everything_without_questions() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "make lint test ui </dev/null" in script
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"run", "test", "lint", "format", "ui", "bench", "gpu"} <= set(re.findall(r"make ([a-z]+)", listed))
