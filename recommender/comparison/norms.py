"""The normalisation that was used, and whether the batches were large enough for it."""

from __future__ import annotations

from recommender.comparison.comparison_input import ComparisonInput
from recommender.records import Notice
from recommender.text import counted

USUAL_BATCH = 16  # images whose gradients one step gathers, also where the batch is smaller
NOISY_BATCH = 16  # below it the statistics of batch norm are noisy for random weights (Wu and He 2018)


def norm_notices(comparison: ComparisonInput) -> tuple[Notice, ...]:
    """One sentence on what was used, and a warning where batch norm saw too few images."""
    runs = [trained.run for trained in comparison.trained]
    if not runs:
        return ()
    batch = min(run.batch_used or run.recipe.batch for run in runs)
    images = min(run.num_train_images for run in runs)
    seen = min(batch, images)
    group = sum(run.recipe.normalisation == "group" for run in runs)
    scratch = [run for run in runs if run.start.mode == "scratch"]
    used = "group norm for scratch, batch norm for the rest" if group else "batch norm for every start"
    steps = max(1, -(-USUAL_BATCH // batch))
    gathered = f"; gradients gathered over {steps} batches before each step" if steps > 1 else ""
    notices = [
        Notice(
            code="normalisation",
            message=f"Normalisation: {used}, batches of {counted(batch, 'image')}{gathered}.",
        )
    ]
    if seen < NOISY_BATCH and scratch and not group:
        notices.append(
            Notice(
                code="small_batch",
                message=f"Batch norm saw {counted(seen, 'image')} at a time, too few for a fair run from scratch: "
                "gathering gradients does not mend its statistics. Try --normalisation group, or a larger --batch.",
            )
        )
    return tuple(notices)
