"""The commands that do what a recommendation says: ours, and the plain ultralytics one of the same recipe."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from recommender.families.ultralytics.architectures import frozen_layers, learning_rate_factor
from recommender.forecast.situation import Situation
from recommender.home import expanded
from recommender.recipe_axes import DEFAULT, RecipeSetting
from recommender.records import Budget, Checkpoint, Dataset, Start
from recommender.requests import RecommendRequest, TrainingRequest
from recommender.tasks import Task, task_definition
from recommender.text import shell_join
from recommender.training_recipe import recipe_of, ultralytics_arguments


def fetch_first(checkpoint: Checkpoint | None) -> str:
    """The command that fetches weights which are not here, to stand before another; "" where none is needed."""
    if checkpoint is None or checkpoint.available:
        return ""
    return shell_join(["recommend", "checkpoints", "fetch", checkpoint.name]) + " && "


def reading_options(request: RecommendRequest) -> tuple[str, ...]:
    """The options with which the data set was read, for commands that are to read the same."""
    task = () if request.task is None else ("--task", request.task)
    return (*task, *(word for root in request.allow_roots for word in ("--allow-root", root)))


def train_command(
    start: Start,
    budget: Budget,
    given: str,
    *,
    scratch: str,
    class_map: Mapping[str, str] | None = None,
    reading: Sequence[str] = (),
    imgsz: int = 640,
    setting: RecipeSetting = DEFAULT,
) -> str:
    """`recommend train …` for a start; options at their defaults are left out. `given` is the path the user named.

    `scratch` is the architecture that random weights train, `reading` what `reading_options` gives, and `imgsz` the
    usual size of the data set's task.
    """
    words = ["recommend", "train", "--dataset", given, "--start", str(start)]
    words += reading
    usual = {"epochs": TrainingRequest.model_fields["epochs"].default, "imgsz": imgsz}
    for name, value in usual.items():
        if getattr(budget, name) != value:
            words += [f"--{name}", str(getattr(budget, name))]
    words += setting.options()
    if start.mode == "scratch":
        words += ["--architecture", scratch]
    for own, other in (class_map or {}).items():
        words += ["--map", f"{own}={other}"]
    return shell_join(words)


def yolo_command(
    situation: Situation,
    dataset: Dataset,
    given: str,
    *,
    scratch: str,
    reading: Sequence[str] = (),
    setting: RecipeSetting = DEFAULT,
) -> str:
    """`yolo detect train …` that trains the recipe of `train_command`, letter by letter runnable, also twice.

    What ultralytics cannot read as it lies (our safetensors, another data set format) is first exported by our own
    commands in the same line.
    """
    checkpoint, start, budget = situation.checkpoint, situation.start, situation.budget
    data, first_data = _data(dataset, given, reading)
    model, first_model = _model(checkpoint, scratch, dataset.task)
    asked = TrainingRequest.model_validate(
        {
            "dataset": given,
            "start": str(start),
            "epochs": budget.epochs,
            "imgsz": budget.imgsz,
            "learning_rate": setting.learning_rate,
            "freeze": setting.freeze,
        }
    )
    recipe = recipe_of(asked)
    words = ["yolo", dataset.task, "train", *model, f"data={data}"]
    factor = learning_rate_factor(checkpoint.architecture if checkpoint else scratch)
    arguments = ultralytics_arguments(recipe, start.mode, factor=factor)
    words += [
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in arguments.items()
    ]
    if checkpoint is None:
        words.append("pretrained=False")
    elif num_frozen := frozen_layers(checkpoint.architecture, start.mode, recipe.freeze):
        words.append(f"freeze={num_frozen}")
    return first_data + first_model + shell_join(words)


def _model(checkpoint: Checkpoint | None, scratch: str, task: Task) -> tuple[list[str], str]:
    """The model argument, and the command that makes its file. A model of another task only lends its weights."""
    if checkpoint is None:
        return [f"model={scratch}.yaml"], ""
    file = f"{checkpoint.name}.pt"
    export = shell_join(["recommend", "checkpoints", "export", checkpoint.name, file]) + " && "
    if checkpoint.task != task:
        return [f"model={checkpoint.architecture}.yaml", f"pretrained={file}"], export
    return [f"model={file}"], export


def _data(dataset: Dataset, given: str, reading: Sequence[str]) -> tuple[str, str]:
    """The data.yaml to name, and the command that makes it where there is none."""
    if dataset.config is not None:
        relative = not expanded(given).is_absolute()
        return os.path.relpath(dataset.config) if relative else str(dataset.config), ""
    folder = f"{dataset.name}-yolo"
    words = ["recommend", "datasets", "export", given, folder, *reading]
    entry = folder if task_definition(dataset.task).whole_images else f"{folder}/data.yaml"
    return entry, shell_join(words) + " && "
