"""`make demo`: draw a small data set of road signs, and ask where to start.

    python -m benchmarks.demo [--folder demo] [--images 60] [--draw-only]

The drawing is deterministic.
"""

from __future__ import annotations

import math
import random
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from benchmarks.machine import arguments_of

CLASSES = ("stop", "yield", "speed limit", "priority")
SIZE = (416, 312)  # pixels

Box = tuple[int, float, float, float, float]


def draw_data_set(folder: Path, num_images: int = 60, seed: int = 0) -> Path:
    """Draw street scenes with signs in YOLO format, four of five for training; returns the data.yaml."""
    rng = random.Random(seed)
    for i in range(num_images):
        split = "val" if i % 5 == 4 else "train"
        image, boxes = _scene(rng)
        for part in ("images", "labels"):
            (folder / part / split).mkdir(parents=True, exist_ok=True)
        image.save(folder / "images" / split / f"street_{i:03d}.jpg", quality=90)
        lines = "".join(f"{c} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for c, x, y, w, h in boxes)
        (folder / "labels" / split / f"street_{i:03d}.txt").write_text(lines)
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(CLASSES))
    config = folder / "data.yaml"
    config.write_text(f"train: images/train\nval: images/val\nnames:\n{names}")
    return config


def _scene(rng: random.Random) -> tuple[Image.Image, list[Box]]:
    width, height = SIZE
    horizon = rng.randint(130, 180)
    image = Image.new("RGB", SIZE)
    draw = ImageDraw.Draw(image)
    sky = rng.randint(150, 225)
    for y in range(height):
        shade = sky + y // 8 if y < horizon else rng.randint(70, 78)
        draw.line(
            [(0, y), (width, y)],
            fill=(shade - 20, shade - 5, min(255, shade + 20)) if y < horizon else (shade,) * 3,
        )
    _houses(draw, rng, horizon)
    middle = width // 2 + rng.randint(-60, 60)
    draw.polygon(
        [(middle - 8, horizon), (middle + 8, horizon), (width, height), (0, height)], fill=(92, 92, 96)
    )
    for step in range(5):
        y = horizon + 12 + step * step * 7
        draw.line([(middle, y), (middle, y + 4 + step * 3)], fill=(230, 230, 225), width=2 + step)
    boxes = [_sign(draw, rng, horizon) for _ in range(rng.randint(1, 4))]
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0))), boxes


def _houses(draw: ImageDraw.ImageDraw, rng: random.Random, horizon: int) -> None:
    x = -20
    while x < SIZE[0]:
        wide, tall = rng.randint(40, 90), rng.randint(30, 100)
        colour = tuple(rng.randint(90, 190) for _ in range(3))
        draw.rectangle([x, horizon - tall, x + wide, horizon], fill=colour)
        for wx in range(x + 8, x + wide - 10, 16):
            for wy in range(horizon - tall + 8, horizon - 12, 20):
                draw.rectangle([wx, wy, wx + 7, wy + 10], fill=(60, 70, 90))
        x += wide + rng.randint(0, 30)


def _sign(draw: ImageDraw.ImageDraw, rng: random.Random, horizon: int) -> Box:
    kind, r = rng.randrange(len(CLASSES)), rng.randint(11, 34)
    x, y = rng.randint(r + 2, SIZE[0] - r - 2), rng.randint(horizon - 60, horizon + 20)
    draw.rectangle([x - 2, y, x + 2, y + 3 * r], fill=(120, 120, 120))
    if kind == 0:
        draw.polygon(_ring(x, y, r, 8, math.pi / 8), fill=(190, 25, 30), outline="white")
        draw.rectangle([x - r * 0.6, y - r * 0.14, x + r * 0.6, y + r * 0.14], fill="white")
    elif kind == 1:
        draw.polygon(
            _ring(x, y, r, 3, math.pi / 2), fill="white", outline=(200, 30, 30), width=max(2, r // 5)
        )
    elif kind == 2:
        draw.ellipse([x - r, y - r, x + r, y + r], fill="white", outline=(200, 20, 20), width=max(2, r // 5))
        draw.text((x, y), rng.choice(("30", "50", "80")), fill="black", anchor="mm", font_size=max(9, r))
    else:
        draw.polygon(_ring(x, y, r, 4, 0), fill=(245, 200, 40), outline="white", width=max(2, r // 5))
    w, h = SIZE
    if kind == 1:  # the triangle does not fill its circle
        return kind, x / w, (y + r / 4) / h, math.sqrt(3) * r / w, 1.5 * r / h
    return kind, x / w, y / h, 2 * r / w, 2 * r / h


def _ring(x: float, y: float, r: float, corners: int, turn: float) -> list[tuple[float, float]]:
    step = 2 * math.pi / corners
    return [(x + r * math.cos(turn + i * step), y + r * math.sin(turn + i * step)) for i in range(corners)]


def main() -> int:
    """Draw, then run the command a user would run."""
    parser = arguments_of(__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo"))
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--draw-only", action="store_true")
    options = parser.parse_args()
    draw_data_set(options.folder, options.images)
    print(f"drew {options.images} street scenes with signs in {options.folder}", flush=True)
    if options.draw_only:
        return 0
    print(f"\n$ recommend --dataset {options.folder}", flush=True)
    command = [str(Path(sys.executable).parent / "recommend"), "--dataset", str(options.folder)]
    status = subprocess.run(command, check=False).returncode
    if status == 0:
        activate = Path(sys.executable).parent / "activate"
        shown = activate.relative_to(Path.cwd()) if activate.is_relative_to(Path.cwd()) else activate
        print(f"\nNext, with data of your own:\n$ . {shown}\n$ recommend --dataset path/to/data", flush=True)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
