"""The main job end to end on data the suite draws itself: command line, Python call, documents."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from benchmarks.demo import CLASSES, draw_data_set
from recommender import recommend
from recommender.answer import Answer, RecommendOptions
from recommender.atomic_files import write_json
from recommender.cli.app import run as command
from recommender.costs.devices import calibration_file
from recommender.datasets import open_dataset
from recommender.errors import NotFoundError, UnavailableError
from recommender.profile.known import known_profile
from recommender.records import Recommendation
from recommender.report.document import document
from recommender.report.page import page
from recommender.requests import RecommendRequest
from recommender.store import Store
from tests.conftest import ROOT
from tests.processes import PYTHON, RECOMMEND, run_command

SCHEMA = ROOT / "docs" / "recommendation.schema.json"


@dataclass(frozen=True)
class Answered:
    """A data set, the home in which it was asked about, and the answer of the command line."""

    data: Path
    home: Path
    stdout: str
    stderr: str


def environment(home: Path) -> dict[str, str]:
    """One thread: where other tests run beside this one, two that wait for each other take many times as long."""
    return {"PATH": "/usr/bin:/bin", "RECOMMENDER_HOME": str(home), "OMP_NUM_THREADS": "1"}


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as users start it."""
    return run_command(*RECOMMEND, *arguments, status=None, env=environment(home))


Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ask(answered: Answered, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """The command in this process, in the home of `answered`; what a process adds is seen by `answered` itself."""
    monkeypatch.setenv("RECOMMENDER_HOME", str(answered.home))

    def asked(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = command(arguments)
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    return asked


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Answered:
    folder = tmp_path_factory.mktemp("signs")
    data, home = folder / "signs", folder / "home"
    draw_data_set(data, num_images=20)
    done = run("--dataset", str(data), "--json", "--html", str(folder / "answer.html"), home=home)
    assert done.returncode == 0, done.stderr
    return Answered(data=data, home=home, stdout=done.stdout, stderr=done.stderr)


@pytest.fixture(scope="module")
def found(answered: Answered) -> Answer:
    """The same answer by the Python call, for tests that only read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_HOME", str(answered.home))
        return recommend(answered.data)


def test_json_is_one_document_of_the_published_schema(answered: Answered) -> None:
    content = json.loads(answered.stdout)
    Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate(content)
    assert content["dataset"]["images"] == {"train": 16, "val": 4, "test": 0}
    assert content["dataset"]["classes"] == list(CLASSES)


def test_every_start_is_ranked_once_and_scratch_and_coco_are_there(answered: Answered) -> None:
    ranking = json.loads(answered.stdout)["ranking"]
    starts = [(row["checkpoint"], row["mode"]) for row in ranking]
    assert len(set(starts)) == len(starts) >= 9
    assert ("scratch", "scratch") in starts
    assert {("coco-yolo11n", "full"), ("coco-yolo11n", "freeze")} <= set(starts)
    assert [row["rank"] for row in ranking] == list(range(1, len(ranking) + 1))
    means = [row["score"]["mean"] for row in ranking]
    assert means == sorted(means, reverse=True)
    assert sum(row["p_best"] for row in ranking) == pytest.approx(1, abs=0.01)


def test_no_warning_is_there_always_and_what_stands_in_is_a_note(answered: Answered) -> None:
    content = json.loads(answered.stdout)
    codes = {notice["code"] for notice in content["warnings"]}
    assert not codes & {
        "licence",
        "small_for_scratch",
        "only_scratch",
    }  # scratch is far behind, licences are known
    assert {notice["code"] for notice in content["notes"]} == {"licence", "recovered_weights", "folded"}
    assert not [notice for notice in content["warnings"] if "--" in notice["message"]]


def test_pretrained_starts_carry_measured_evidence_and_reasons(answered: Answered) -> None:
    for row in json.loads(answered.stdout)["ranking"]:
        assert row["reasons"]
        if row["checkpoint"] != "scratch":
            assert row["evidence"]["backbone_transferred"] == 1.0
            assert 0 < row["evidence"]["weights_transferred"] < 1
            assert row["evidence"]["knn_accuracy"] is not None


def test_the_python_call_returns_the_same_and_the_same_seed_the_same(
    answered: Answered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMMENDER_HOME", str(answered.home))
    found = recommend(answered.data)
    assert isinstance(found, Recommendation)
    assert json.loads(document(found).model_dump_json()) == json.loads(answered.stdout)


def test_a_known_data_set_is_answered_without_torch(answered: Answered) -> None:
    script = (
        "import sys; from recommender import recommend; "
        f"recommend({str(answered.data)!r}); "
        "print(sorted({'torch', 'ray', 'ultralytics'} & set(sys.modules)))"
    )
    done = run_command(*PYTHON, script, env=environment(answered.home))
    assert done.stdout.strip() == "[]"


def test_the_table_names_the_first_start_and_what_to_do_next(answered: Answered, ask: Ask) -> None:
    done = ask("--dataset", str(answered.data), "--top", "2")
    assert done.returncode == 0, done.stderr
    content = json.loads(answered.stdout)
    lines = [line for line in done.stdout.splitlines() if line]
    first = content["ranking"][0]
    assert lines[0].startswith(f"Start from  {first['checkpoint']}:{first['mode']} at ")
    assert f"Run         {content['headline']['command']}" in lines[3:5]  # the chance may take two lines
    assert content["command"] in lines
    assert "scratch" in done.stdout


def test_the_page_stands_alone_and_shows_every_start(answered: Answered) -> None:
    html = (answered.data.parent / "answer.html").read_text("utf-8")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", html)
    assert "<script" not in html
    assert html.count("<tr") > len(json.loads(answered.stdout)["ranking"])


def test_the_page_shows_what_starts_see_and_names_no_other_data_set_of_the_store(
    answered: Answered, own_home: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another data set of the same user lies in the store: the map and the reasons leave it out."""
    monkeypatch.setenv("RECOMMENDER_HOME", str(own_home))
    secret = open_dataset(draw_data_set(tmp_path / "secret-project", num_images=6, seed=5))
    with Store() as store:
        known_profile(secret, store)
    file = tmp_path / "answer.html"
    done = ask("--dataset", str(answered.data), "--html", str(file))
    assert done.returncode == 0, done.stderr
    html = file.read_text("utf-8")
    assert "secret" not in html
    assert "Map of data sets" in html
    first = json.loads(answered.stdout)["ranking"][0]["checkpoint"]
    assert f"<h3>{first}</h3>" in html
    assert html.count('<svg class="scene"') == 3 * 3
    assert html.count("<figure><img") == 4
    assert html.index("<dl class=") < html.index("<table")


def test_a_notebook_shows_a_small_table_and_gives_page_and_frame(
    found: Answer, answered: Answered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMMENDER_HOME", str(answered.home))
    lines = repr(found).splitlines()
    assert lines[0].startswith(f"Start from  {found.ranking[0].start}")
    assert len(lines) < 20
    assert max(map(len, lines)) <= 120
    shown = found._repr_html_()
    assert shown.count("<tr>") == 1 + 5
    assert found.to_html(tmp_path / "page.html", pictures=False) == (tmp_path / "page.html").read_text(
        "utf-8"
    )
    monkeypatch.setitem(sys.modules, "pandas", None)  # as where it is not installed
    with pytest.raises(UnavailableError, match="pip install pandas"):
        found.ranking.to_frame()


def test_the_ranking_becomes_a_frame(found: Answer) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = found.ranking.to_frame()
    assert len(frame) == len(found.ranking)
    assert frame["score"].is_monotonic_decreasing
    assert list(frame["checkpoint"]) == [row.start.checkpoint for row in found.ranking]


def test_hostile_names_are_escaped_on_the_page(
    found: Answer, answered: Answered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMMENDER_HOME", str(answered.home))
    evil = found.profile.__class__(**{**found.profile.__dict__, "dataset_name": "<script>x</script>\x1b[31m"})
    html = page(found.__class__(**{**found.__dict__, "profile": evil}))
    assert "<script>x" not in html
    assert "\x1b" not in html


def test_licence_filter_and_named_checkpoints(answered: Answered, ask: Ask) -> None:
    strict = ask("--dataset", str(answered.data), "--licence", "permissive", "--json")
    left = json.loads(strict.stdout)
    assert [row["checkpoint"] for row in left["ranking"]] == ["scratch"]
    assert left["warnings"][0]["code"] == "only_scratch"
    assert left["headline"]["start"].startswith("No pretrained start here is under a permissive licence")
    assert "small_for_scratch" in {notice["code"] for notice in left["warnings"]}
    named = ask("--dataset", str(answered.data), "--checkpoint", "bccd-yolo11n", "--json")
    checkpoints = {row["checkpoint"] for row in json.loads(named.stdout)["ranking"]}
    assert checkpoints == {"bccd-yolo11n", "coco-yolo11n", "scratch"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--dataset", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--dataset", "DATA", "--epochs", "0"], "epochs"),
        (["--dataset", "DATA", "--modes", "thaw"], "thaw"),
        (["--dataset", "DATA", "--licence", "none"], "licence"),
        (["--dataset", "DATA", "--checkpoint", "no-such"], "no-such"),
        (["--dataset", "DATA", "--max-params", "many"], "many"),
        (["--no-such-option"], "--no-such-option"),
        ([], "Usage"),
    ],
)
def test_bad_use_is_one_clear_error_with_code_2(
    answered: Answered, ask: Ask, arguments: list[str], expected: str
) -> None:
    done = ask(*[str(answered.data) if a == "DATA" else a for a in arguments])
    assert done.returncode == 2
    assert expected in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_process_ends_with_code_2_too(answered: Answered) -> None:
    done = run("--dataset", "/nowhere/at/all", home=answered.home)
    assert (done.returncode, done.stdout) == (2, "")
    assert "/nowhere/at/all" in done.stderr


def test_the_python_call_types_every_option_of_the_request() -> None:
    assert set(RecommendOptions.__annotations__) == set(RecommendRequest.model_fields) - {"dataset"}


def test_the_python_call_refuses_unknown_options(answered: Answered) -> None:
    with pytest.raises(ValueError, match="epoch_count"):
        recommend(answered.data, epoch_count=3)  # type: ignore[call-arg]
    with pytest.raises(NotFoundError):
        recommend(answered.data.parent / "absent")


def test_an_unwritable_report_path_is_named_before_the_work(answered: Answered, ask: Ask) -> None:
    done = ask("--dataset", str(answered.data), "--html", "/nowhere/x.html")
    assert done.returncode == 2
    assert "/nowhere" in done.stderr


def test_the_store_keeps_the_profile(answered: Answered) -> None:
    content = json.loads(answered.stdout)
    with Store(answered.home / "store.sqlite3") as store:
        profile = store.profiles.get(content["dataset"]["hash"], content["provenance"]["encoder"])
    assert profile is not None
    assert profile.num_images.train == 16


@pytest.fixture
def own_home(answered: Answered, tmp_path: Path) -> Path:
    """A copy of the home, for tests that add to it."""
    return Path(shutil.copytree(answered.home, tmp_path / "home"))


@pytest.mark.ray
def test_trials_are_shown_explained_and_remembered(answered: Answered, own_home: Path) -> None:
    """`--trials`: real short trainings; the answer says what they did to it, and the next one starts from them."""
    asked = (
        "--dataset",
        str(answered.data),
        "--epochs",
        "6",
        "--imgsz",
        "64",
        "--json",
    )
    with_trials = run(*asked, "--trials", "1", home=own_home)
    assert with_trials.returncode == 0, with_trials.stderr
    content = json.loads(with_trials.stdout)
    Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate(content)
    (tried,) = [row for row in content["ranking"] if row["trial"] is not None]
    assert tried["trial"]["epochs"] == 6  # so short a training is tried whole
    assert content["verdict"].startswith("1 trial ")
    after = json.loads(run(*asked, home=own_home).stdout)
    assert (
        after["provenance"]["history_runs"] == json.loads(answered.stdout)["provenance"]["history_runs"] + 1
    )
    assert [row["checkpoint"] for row in after["ranking"]] == [
        row["checkpoint"] for row in content["ranking"]
    ]


def test_the_budget_of_trials_is_of_this_machine_whatever_trains_in_full(
    ask: Ask, answered: Answered, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `--gpu` trials had been taken to run on that GPU."""
    monkeypatch.setenv("RECOMMENDER_HOME", str(own_home))
    model = {"latency_ms": 5.0, "memory_mb": None, "flops_b": 6.7, "runtime": "pytorch"}
    facts = {"title": "slow", "source": "s", "per_operation": 0.8, "per_pixel": 1.0, "gflop_s": 1000.0}
    write_json(calibration_file(), facts | {"models": {"yolo11n": model}})
    done = ask("--dataset", str(answered.data), "--imgsz", "64", "--gpu", "h200", "--budget", "1m")
    assert done.returncode == 0, done.stderr
    assert "1m buys no trial" in " ".join(done.stdout.split())


@pytest.mark.slow
def test_a_weights_file_runs_by_its_path(answered: Answered, own_home: Path, nano_pt: Path) -> None:
    done = run("--dataset", str(answered.data), "--checkpoint", str(nano_pt), "--json", home=own_home)
    assert done.returncode == 0, done.stderr
    names = {row["checkpoint"] for row in json.loads(done.stdout)["ranking"]}
    assert any(name.startswith(nano_pt.stem) for name in names), names
