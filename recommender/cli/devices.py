"""`recommend devices` and `recommend calibrate`: where trained models run, and how fast this machine is."""

from __future__ import annotations

import sys

from recommender.cli.options import AsJson


def devices(as_json: AsJson = False) -> None:
    """List the devices with measured latencies, and the GPUs whose training can be estimated."""
    import json

    from recommender.cli.console import out
    from recommender.devices.gpus import BANDWIDTH_GB_S
    from recommender.devices.table import devices as known

    if as_json:
        rows = [
            {
                "device": one.name,
                "title": one.title,
                "source": one.source,
                "models": {name: m.latency_ms for name, m in one.models.items()},
            }
            for one in known()
        ]
        sys.stdout.write(json.dumps({"devices": rows, "gpus": sorted(BANDWIDTH_GB_S)}, indent=2) + "\n")
        return
    for one in known():
        fastest = min(one.models, key=lambda name: one.models[name].latency_ms)
        out().print(
            f"{one.name:<12} {one.title}: {len(one.models)} models, {fastest} {one.models[fastest].latency_ms:g} ms; "
            f"{one.source}",
            markup=False,
            soft_wrap=True,
        )
    out().print(
        f"\nTraining (--gpu), estimated from published times on a V100: {', '.join(BANDWIDTH_GB_S)}",
        markup=False,
        soft_wrap=True,
    )


def calibrate(as_json: AsJson = False) -> None:
    """Measure latency and training speed of real architectures on this machine; `--device this` then uses them."""
    import json

    from recommender.cli.console import out, progress_bars
    from recommender.devices.calibration import calibrate as measure

    with progress_bars() as progress:
        found = measure(progress)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    out().print(found["title"], markup=False)
    for name, model in found["models"].items():
        out().print(f"  {name:<10} {model['latency_ms']:g} ms an image of 640 px", markup=False)
    out().print(f"  training: {1000 * found['gflop_s']:.3g} ms an image for 10⁹ operations", markup=False)
