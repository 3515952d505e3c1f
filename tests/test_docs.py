"""The documents' examples are executed: spaces, commands, links, NNI's configs, the task."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.cli import COMMANDS, _parser
from core.commands.compare import union
from core.commands.sweep import grid_space
from core.commands.tune import search_config
from core.params import cli_overrides, load_task, task_summaries, validate_params
from core.search.nni_trial import trial_parser
from core.search.space import Space
from core.task import UserError
from tests.checkout import ROOT, Block, Checkout, blocks

README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKING = [*DOCUMENTS, ROOT / "CHANGELOG.md", *sorted((ROOT / "benchmarks").glob("*.md"))]
CONFIGS = [ROOT / "nni_config.yml", *sorted((ROOT / "docs").rglob("*.yml"))]
TRIAL = "python -m trials."
WRITTEN = ("bumps", "polynomial_fit")  # tasks that the documents write; they are tuned below
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
IN_TABLE = re.compile(r"^\| `((?:gantune|python) [^`]*)` \|", re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def spaces() -> Iterator[Any]:
    for document in DOCUMENTS:
        for block in blocks(document):
            if block.language == "json" and Path(block.value).stem not in WRITTEN:
                yield pytest.param(block, id=f"{relative(document)}-{block.value}")


def commands() -> Iterator[Any]:
    """Every `gantune …` and `python -m trials.…` in shell blocks and in tables."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        shell = [b.text.replace("\\\n", " ") for b in blocks(document) if b.language == "sh"]
        lines = [line for block in shell for line in block.splitlines()]
        for line in [*lines, *IN_TABLE.findall(FENCED.sub("", text))]:
            words = shlex.split(line, comments=True)
            written = any(task in line for task in WRITTEN)
            if line.startswith(("gantune ", TRIAL)) and not written:
                yield pytest.param(words, document, id=f"{relative(document)}-{' '.join(words)}")


@pytest.mark.parametrize("block", list(spaces()))
def test_a_search_space_is_one_that_its_task_accepts(block: Block, tmp_path: Path) -> None:
    assert block.key == "space", "the comment before it names its task: <!-- space: TASK -->"
    task = load_task(block.value)
    space = Space.parse(json.loads(block.text), task.params, block.value)
    validate_params(task.params, space.point())
    defaults = task.params().model_dump()
    for dimension in space.dimensions:
        dimension.latent(defaults[dimension.name])  # the baseline lies inside


@pytest.mark.parametrize(("words", "document"), list(commands()))
def test_a_command_is_one_that_gantune_accepts(words: list[str], document: Path) -> None:
    accept(words, document)


@pytest.mark.parametrize(
    "line",
    [
        "gantune tune glyph_gan --trails 3",
        "gantune tune glyph_gan --dropout 7",
        "gantune tune cyclegan --lr-g 0.1",  # the space searches it
        "gantune sweep glyph_gan --grid batch_sise=8,40",
        "python -m trials.cyclegan --adversarial-loss wgan",
    ],
)
def test_a_command_that_would_be_refused_is_found(line: str) -> None:
    with pytest.raises((SystemExit, UserError)):
        accept(shlex.split(line), README)


def accept(words: list[str], document: Path) -> None:
    """Parse a command and check the parameters it sets, as it would itself before it starts."""
    if words[0] == "python":
        task = load_task(words[2].removeprefix("trials."))
        parsed = trial_parser(task).parse_args(words[3:])
        validate_params(task.params, cli_overrides(parsed))
        return
    name, *rest = words[1:]
    assert name in COMMANDS
    module = import_module(f"core.commands.{name.replace('-', '_')}")
    parsed = _parser(words[1:], name, module).parse_args(words[1:])
    overrides = cli_overrides(parsed)
    if name == "compare":
        validate_params(union([load_task(task).params for task in parsed.tasks]), overrides)
    elif name == "sweep":
        grid_space(parsed.grid, load_task(parsed.task).params, overrides)
    elif name == "tune":
        check_search(parsed, overrides, document)
    elif name == "exam":
        validate_params(load_task(parsed.task).params, overrides)
    assert rest or name in ("tasks", "dashboard", "storage-server", "doctor")


def check_search(parsed: argparse.Namespace, overrides: dict[str, str], document: Path) -> None:
    """Check a search; a space file that does not exist is the last one the document shows."""
    task = load_task(parsed.task)
    path = ROOT / parsed.space if parsed.space else task.search_space
    if path.is_file():
        space = Space.load(path, task.params)
    else:
        shown = [b.text for b in blocks(document) if (b.key, b.value) == ("space", task.name)]
        space = Space.parse(json.loads(shown[-1]), task.params, str(path))
    search_config(task, space, str(path), overrides, parsed)


@pytest.mark.parametrize("config", CONFIGS, ids=relative)
def test_an_nni_config_names_what_exists(config: Path) -> None:
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    module, _, tuner = content["tuner"]["className"].rpartition(".")
    assert isinstance(getattr(import_module(module), tuner), type)
    assert (config.parent / content["tuner"]["codeDirectory"]).resolve() == ROOT
    words = shlex.split(content["trialCommand"])
    assert Path(words[0]).name == "python"
    task = load_task(words[2].removeprefix("trials."))
    overrides = cli_overrides(trial_parser(task).parse_args(words[3:]))
    space = Space.load(config.parent / content["searchSpaceFile"], task.params)
    validate_params(task.params, {**overrides, **space.point()})
    assert not set(space.fields) & set(overrides), "NNI sets what the space searches"
    first = config.read_text(encoding="utf-8").split("\nexperimentName")[0]
    assert f"nnictl create --config {relative(config)}" in first


@pytest.mark.parametrize("document", LINKING, ids=relative)
def test_links_lead_to_files_and_headings(document: Path) -> None:
    for target in LINK.findall(FENCED.sub("", document.read_text(encoding="utf-8"))):
        if not target.startswith(("http://", "https://")):
            path, _, anchor = target.partition("#")
            found = (document.parent / path).resolve() if path else document
            assert found.exists(), target
            assert not anchor or anchor in headings(found), target


def headings(document: Path) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    lines = FENCED.sub("", document.read_text(encoding="utf-8")).splitlines()
    titles = [line.lstrip("#").strip().lower() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def test_the_readme_is_short_and_names_every_command_and_page() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.encode()) <= 8000
    assert not [name for name in COMMANDS if f"| `gantune {name}" not in text]
    assert not [p.name for p in (ROOT / "docs").glob("*.md") if f"(docs/{p.name})" not in text]


def test_documents_name_the_tasks_that_there_are() -> None:
    shown = {task for task in task_summaries() if task.startswith("glyph_")}
    text = (ROOT / "docs" / "glyphs.md").read_text(encoding="utf-8")
    assert not [task for task in shown if f"| `{task}` |" not in text]


def test_the_task_in_the_readme_can_be_tuned_and_its_study_loaded(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    written = {(b.key, b.value): b.text for b in blocks(README)}
    checkout.write("trials/bumps.py", written["task", "bumps"])
    checkout.write("search_spaces/bumps.json", written["space", "bumps"])
    short = ["--study", "demo", "--trials", "2", "--epochs", "2"]
    checkout.gantune("tune", "bumps", *short, "--workers", "1", "--threads", "1", "--device", "cpu")
    best = json.loads((tmp_path / "runs" / "demo" / "best.json").read_text())
    assert best["trials"] == {"completed": 2}
    assert best["best"]["score"] < 0.1, "far below the variance of a sine, 0.5"
    examples = [b.text for document in DOCUMENTS for b in blocks(document)]
    loading = [text for text in examples if text.startswith("import gantune")]
    assert len(loading) >= 2
    checkout.python("-c", "\n".join(loading))
