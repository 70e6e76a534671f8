"""Command lines in every form, and the errors about those that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import ValidationError

from recommender.cli.app import app, run
from recommender.cli.arguments import REACHING, configuration, with_dataset
from recommender.cli.options import parameters_from
from recommender.cli.train import gpus_of
from recommender.errors import UsageError
from recommender.requests import (
    CompareRequest,
    RecommendRequest,
    SweepRequest,
    TrainingRequest,
    require_budget,
)
from recommender.starts import split_start
from tests.datagen import make_dataset
from tune_jobs.sweep.compute_budget import ComputeBudget

HARMLESS = """
again architecture as_json available axes batch budget checkpoint class_maps confidence cpus cpus_per_trial
dataset days detach device epochs everything expand fractions freeze from_scratch gpu gpus gpus_per_trial
here imgsz kind known_targets learning_rate learning_rates licence limit max_cost max_feature_candidates
max_flops max_hours max_latency max_memory max_params mixed modes multi_scale name normalisation offline
optimizer owner parallel parent patience photos pictures plain_logs price quiet seed seeds source_licence
start task test top trials tta undo without workers yes
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_dataset(tmp_path / "signs")


def answer(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert run([*arguments, "--max-feature-candidates", "0", "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def starts(found: dict[str, object]) -> set[str]:
    return {f"{row['checkpoint']}:{row['mode']}" for row in found["ranking"]}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("signs --json", "--dataset signs --json"),
        ("--json signs --epochs 5", "--json --dataset signs --epochs 5"),
        ("--epochs 5 --imgsz=320 signs", "--epochs 5 --imgsz=320 --dataset signs"),
        ("-d signs --json", "-d signs --json"),
        ("-dsigns --html page.html", "-dsigns --html page.html"),
        ("--epochs 5 train -d signs", "--epochs 5 train -d signs"),
        ("--html signs", "--html signs"),
        ("sweep -d signs -d other", "sweep -d signs -d other"),
        ("sweep -dsigns -dother", "sweep -dsigns -dother"),
        ("signs --device t4", "--dataset signs --device t4"),
        ("checkpoints add best.pt -d signs", "checkpoints add best.pt -d signs"),
    ],
)
def test_a_bare_path_is_the_data_set_wherever_it_stands(data: Path, given: str, read: str) -> None:
    assert with_dataset(given.split(), typer.main.get_command(app)) == read.split()


@pytest.mark.parametrize(
    "given",
    [
        "--dataset other signs",
        "signs -d other",
        "signs ./other --json",
        "-d signs -d other",
        "train -d a -d b",
        "-dsigns -dother",
        "train -d signs -dother",
        "compare -yd signs -d other",
    ],
)
def test_several_data_sets_are_refused_where_one_is_read(
    data: Path, home: Path, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    assert run(given.split()) == 2
    assert "error: Several data sets are named. Ask about each on its own" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["signs out.html", "-d signs Out.HTML"])
def test_a_page_without_its_option_is_told_as_one(
    data: Path, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    assert run(given.split()) == 2
    assert f"To write the answer as a page, say --html {given.split()[-1]}." in capsys.readouterr().err


@pytest.mark.slow
def test_a_bare_path_short_options_and_any_case(
    data: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = starts(answer(["signs", "--start", "Ships-YOLO11n:Freeze", "--modes", "FULL,Freeze"], capsys))
    assert found == {
        "ships-yolo11n:freeze",
        "coco-yolo11n:full",
        "coco-yolo11n:freeze",
        "scratch:scratch",
    }
    without = starts(answer(["-d", "signs", "--without", "coco", "--without", "ships-yolo11n:full"], capsys))
    assert not {"coco-yolo11n:full", "coco-yolo11n:freeze", "ships-yolo11n:full"} & without
    assert "ships-yolo11n:freeze" in without
    assert run(["signs", "--without", "scratch"]) == 2


@pytest.mark.slow
def test_a_config_file_gives_defaults_and_a_flag_beats_it(
    data: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("recommend.toml").write_text('epochs = 7\nmodes = "full"\n[sweep]\nepochs = 3\n')
    found = answer(["signs"], capsys)
    assert found["budget"] == {"epochs": 7, "imgsz": 320}  # small pictures: more pixels show nothing new
    assert not [start for start in starts(found) if start.endswith("freeze")]
    assert answer(["signs", "--epochs", "9"], capsys)["budget"] == {"epochs": 9, "imgsz": 320}
    Path("recommend.toml").write_text("epoch = 7\n")
    assert run(["signs"]) == 2
    assert "recommend.toml sets 'epoch'" in capsys.readouterr().err
    Path("recommend.toml").unlink()
    Path("pyproject.toml").write_text("[tool.recommend]\nimgsz = 416\n")
    assert answer(["signs"], capsys)["budget"] == {"epochs": 100, "imgsz": 416}


@pytest.mark.parametrize(
    ("arguments", "said", "unsaid"),
    [
        (["--dataset", "signs", "--modes", "frozen"], "choose full, freeze or scratch", "modes.1"),
        (["--dataset", "caf\udce9"], "the name is no text in UTF-8", "raw data"),
        (["--dataset", "signs", "--modes", ""], "--modes '': nothing is named; leave it out", "validation"),
        (["--dataset", "signs", "--epochs", "0"], "--epochs 0: it must be greater", "Input should"),
        (["train"], "`recommend train --help`", "`recommend --help`"),
        (["runs", "show"], "`recommend runs show --help`", "error: ."),
        (["--dataset", "signs", "--licence", "free"], "--licence 'free'", "literal"),
        (["sweep", "--dataset", "signs", "--fractions", "many"], "a number is wanted", "unable to parse"),
        (["compare", "--dataset", "signs", "--seeds", "0"], "1 to 100", "Value error"),
        (["signs", "--start", "coco:frozen"], "coco:full", "Traceback"),
    ],
)
def test_bad_use_is_told_in_plain_words(
    arguments: list[str],
    said: str,
    unsaid: str,
    data: Path,
    home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(arguments) == 2
    found = capsys.readouterr().err
    assert said in found
    assert unsaid not in found
    assert found.startswith("error: ")


def test_a_group_without_its_command_shows_help_and_no_empty_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["runs"]) == 2
    assert "error: ." not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "kind", "seconds"),
    [
        ("90s", "wall", 90),
        ("10min", "wall", 600),
        ("10 minutes", "wall", 600),
        ("1.5H", "wall", 5400),
        ("2gpu-h", "device", 7200),
        ("30 GPU-min", "device", 1800),
        ("2 hrs", "wall", 7200),
        ("1e-3h", "wall", 3.6),
        (".5gpu-h", "device", 1800),
    ],
)
def test_budgets_are_read_as_people_write_them(text: str, kind: str, seconds: float) -> None:
    assert require_budget(text) == text
    allowance = ComputeBudget.parse(text)
    assert (allowance.kind, allowance.limit_s) == (kind, seconds)


def test_numbers_are_read_as_any_float_is() -> None:
    limits = {"max_hours": "1e-3", "max_flops": ".5t", "max_latency": "2.5E+1ms", "device": "rpi5"}
    asked = RecommendRequest.model_validate({"dataset": "a", "price": "5e-2/h", **limits})
    assert (asked.max_hours, asked.max_flops, asked.max_latency, asked.price) == (0.001, 500, 25, 0.05)
    assert (parameters_from("2.6e6"), parameters_from("1.e0M")) == (2_600_000, 1_000_000)
    for text in ("1e999", "1e", "many"):
        with pytest.raises(UsageError):
            parameters_from(text)
        with pytest.raises(UsageError):
            ComputeBudget.parse(f"{text}h")


@pytest.mark.parametrize("text", ["10", "m", "10 miles", "1h30m", "-5m", "10 mh"])
def test_a_budget_in_no_known_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not understood"):
        require_budget(text)


@pytest.mark.parametrize(
    "command",
    [["sweep"], ["compare", "--start", "coco:full"], ["train", "--start", "scratch"]],
    ids=lambda command: command[0],
)
def test_a_storage_that_takes_nothing_is_told_before_anything_is_read(
    command: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*command, "--dataset", "/nowhere", "--storage", "/proc/nowhere"]
    assert run(asked) == 2
    assert "name a folder or URL that is reachable and writable" in capsys.readouterr().err


def test_seeds_mean_the_same_everywhere() -> None:
    for made in (
        SweepRequest.model_validate({"datasets": ("a",), "seeds": "3"}),
        SweepRequest.model_validate({"datasets": ("a",), "seeds": "0,1,2"}),
        CompareRequest.model_validate({"dataset": "a", "seeds": 3}),
        CompareRequest.model_validate({"dataset": "a", "seeds": "0, 1,2"}),
    ):
        assert made.seeds == (0, 1, 2)
    for wrong in ("0", "-1", "a", "1000000", "9" * 20, 101):
        with pytest.raises(ValidationError, match="give how many seeds, 1 to 100, or name them with commas"):
            SweepRequest.model_validate({"datasets": ("a",), "seeds": wrong})
    epochs = {
        request.model_fields["epochs"].default for request in (SweepRequest, CompareRequest, RecommendRequest)
    }
    assert len(epochs) == 1


def test_an_image_size_is_the_one_that_is_trained_at() -> None:
    """Ultralytics goes up to a multiple of 32, so that the forecast, the price and the history have to."""
    asked = {"dataset": "a", "datasets": ("a",), "start": "scratch", "imgsz": 100}
    for request in (RecommendRequest, SweepRequest, CompareRequest, TrainingRequest):
        fields = {name: asked[name] for name in request.model_fields.keys() & asked.keys()}
        assert request.model_validate(fields).model_dump()["imgsz"] == 128
    with pytest.raises(ValidationError):
        RecommendRequest.model_validate({"dataset": "a", "imgsz": 4097})


def test_a_start_is_a_name_with_or_without_a_mode() -> None:
    assert split_start("coco") == ("coco", None)
    assert split_start("coco:FREEZE") == ("coco", "freeze")
    assert split_start("SCRATCH") == split_start("Scratch:SCRATCH") == ("scratch", "scratch")
    assert split_start("scratch") == ("scratch", "scratch")


@pytest.mark.parametrize(
    ("device", "gpus"), [("cpu", 0), ("GPU", 1), ("cuda", 1), ("cuda:0", 1), ("0", 1), ("0,1", 2)]
)
def test_a_device_is_named_as_ultralytics_does(device: str, gpus: int) -> None:
    assert gpus_of(device) == gpus


@pytest.mark.parametrize("device", ["1", "2,3", "cuda:1", "0,2"])
def test_a_certain_gpu_is_chosen_by_what_is_visible(device: str) -> None:
    """Trainings on GPU 0 where GPU 1 was asked for would take somebody else's."""
    with pytest.raises(UsageError, match="counted from 0") as refused:
        gpus_of(device)
    assert f"CUDA_VISIBLE_DEVICES={device.removeprefix('cuda:')}" in str(refused.value)
    assert "while no other training of yours runs" in str(
        refused.value
    )  # its host has an environment of its own


def test_a_gpu_named_twice_is_chosen_once() -> None:
    with pytest.raises(UsageError, match=r"CUDA_VISIBLE_DEVICES=1 before .* --gpus 1"):
        gpus_of("1,1")


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UsageError, match="cpu, gpu"):
        gpus_of("tpu")


def test_a_config_file_takes_options_as_they_are_written(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recommend.toml").write_text(
        'dataset = "signs"\nall = true\nmodes = ["full", "freeze"]\ncheckpoint = "coco"\nquiet = true\n'
        '[train]\nmap = "vehicle=car"\n[devices]\njson = true\n'
    )
    defaults, file = configuration(typer.main.get_command(app), tmp_path)
    assert file == "recommend.toml"
    assert defaults == {
        "dataset": "signs",
        "everything": True,
        "modes": "full,freeze",
        "checkpoint": ["coco"],
        "quiet": True,
        "train": {"class_maps": ["vehicle=car"]},
        "devices": {"as_json": True},
    }
    assert run(["devices"]) == 0  # the default data set is not taken for one named in the wrong place
    shown = capsys.readouterr()
    assert shown.out.startswith("{")
    assert shown.err.startswith("defaults from recommend.toml in this folder: dataset, everything, modes,")
    assert run(["--quiet", "devices"]) == 0
    assert not capsys.readouterr().err
    assert run(["--dataset", "signs", "devices"]) == 2


@pytest.mark.parametrize(
    "text",
    [
        'address = "ray://203.0.113.5:10001"',  # a cluster runs code of its own choice in its clients
        'html = "../.bashrc"',
        "keep = true",
        "install_completion = true",  # it writes to .bashrc
        "launch = true",
        '[doctor]\naddress = "ray://203.0.113.5:10001"',
        '[serve]\nhost = "0.0.0.0"',
        "[serve]\nport = 80",
        "[serve]\nbehind-tls-proxy = true",
        '[serve]\nallowed_host = ["evil.example"]',
        '[serve]\nallow-root = "/"',
        '[train]\nstorage = "s3://elsewhere"',
        '[compare]\nout = "../.config"',
        '[keys.create]\nrole = "admin"',
        '[checkpoints.fetch]\nbase_url = "http://203.0.113.5"',
        '[checkpoints.export]\nfile = "../.bashrc"',  # an argument, which is no option
        "a = " + 5000 * "[",
    ],
)
def test_a_config_file_never_says_where_to_send_write_or_listen(
    text: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may have come with a data set, in whose folder the command is given."""
    monkeypatch.chdir(tmp_path)
    Path("recommend.toml").write_text(text)
    assert run(["devices"]) == 2
    assert capsys.readouterr().err.startswith("error: recommend.toml ")
    assert run(["devices", "--help"]) == 0  # which tells what may stand there
    assert not capsys.readouterr().err


def test_every_other_option_may_be_set_in_a_config_file() -> None:
    """An option that is new is to be looked at: does it reach beyond the data and the home?"""

    def options(command: Any) -> set[str]:
        own = {one.name for one in command.params if one.param_type_name == "option" and not one.is_eager}
        return own.union(*map(options, getattr(command, "commands", {}).values()))

    assert options(typer.main.get_command(app)) - REACHING == set(HARMLESS.split())


@pytest.mark.parametrize("text", ["[tool]\nrecommend = 3\n", "tool = 3\n"])
def test_a_project_file_of_another_form_is_no_fault_of_ours(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text(text)
    assert run(["devices"]) in (0, 2)
    assert "our fault" not in capsys.readouterr().err


@pytest.mark.parametrize("path", ["~nobody-of-that-name/signs", "a" * 300, "a" * 300 + "/signs"])
@pytest.mark.parametrize("arguments", [[], ["--dataset"], ["datasets", "inspect"]])
def test_a_path_that_cannot_be_is_told_as_missing(
    path: str, arguments: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, path]) == 2
    assert "our fault" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--epochs", "abc"], "Invalid value for '--epochs': a whole number is wanted."),
        (["train", "--learning-rate", "abc"], "Invalid value for '--learning-rate': a number is wanted."),
        (["dataset"], "Did you mean 'datasets'? `recommend --help`"),
    ],
)
def test_what_cannot_be_read_is_said_in_plain_words(
    given: list[str], said: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(given) == 2
    assert said in capsys.readouterr().err
