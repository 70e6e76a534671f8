"""Search among very many data sets: latency, recall, build time and memory of the index.

    python -m benchmarks.index_speed --sets 100000 --graph
    python -m benchmarks.index_speed --sets 1000000

The vectors have the real dimension and form: each stands for a data set whose images and objects are mixtures of
Gaussians around the centre of one of 2,000 domains, embedded by the shipped frequencies in closed form, since
E[cos w·x] = exp(−s²|w|²/2) cos w·m for x ~ N(m, s²). Queries are further sets of the same domains. One search asks
for the top 50 of one query, as a recommendation does. Adds to benchmarks/results/index_speed.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import stamp
from recommender.profile.basis import Basis, load_basis
from recommender.profile.vectors import VectorIndex
from recommender.records import FloatArray

RESULT = Path("benchmarks/results/index_speed.json")
DOMAINS = 2000
CHUNK = 8192
QUERIES = 1000
RECALL_QUERIES = 200
TOP = 50
COMPONENT_SPREAD = 1.8  # gives real sets' distances: the median squared distance is 0.3, the nearest 0.07
WITHIN_DOMAIN = 0.4  # of a set's centre around its domain's, in units of the spread
SEED = 0


def main() -> None:
    """Build, search, compare with brute force, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=100_000)
    parser.add_argument("--graph", action="store_true", help="build a graph too, for comparison")
    arguments = parser.parse_args()
    found = measure(arguments.sets)
    if arguments.graph:
        found["compared_with"] = measure_graph(arguments.sets)
    results = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
    results[str(arguments.sets)] = {**results.get(str(arguments.sets), {}), **found}
    RESULT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


def measure(count: int) -> dict[str, Any]:
    """Everything about an index of `count` sets."""
    queries = vectors(np.random.default_rng([SEED, 1]), QUERIES, query=True)
    dimensions = queries.shape[1]
    before_mb = _peak_mb()
    started, cpu = time.perf_counter(), time.process_time()
    index = VectorIndex.build(lambda: chunks(count), count=count, dimensions=dimensions)
    build_s, build_cpu_s = time.perf_counter() - started, time.process_time() - cpu
    peak_mb = _peak_mb()
    return {
        "command": f"python -m benchmarks.index_speed --sets {count}",
        "machine": stamp(),
        "dimensions": dimensions,
        "kind": "exact" if index.exact else "inverted lists, half precision",
        "build_s": round(build_s, 1),
        "build_cpu_s": round(build_cpu_s, 1),
        "peak_mb_before_and_after_build": [round(before_mb), round(peak_mb)],
        **searches(index, queries, count),
    }


def measure_graph(count: int) -> dict[str, Any]:
    """The other common choice, a graph (HNSW) over half-precision vectors, for comparison."""
    import faiss

    queries = vectors(np.random.default_rng([SEED, 1]), QUERIES, query=True)
    hnsw: Any = faiss.IndexHNSWSQ  # its stub knows another signature
    graph = hnsw(queries.shape[1], faiss.ScalarQuantizer.QT_fp16, 32, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction, graph.hnsw.efSearch = 80, 128
    started, cpu = time.perf_counter(), time.process_time()
    graph.train(next(chunks(count)))
    for chunk in chunks(count):
        graph.add(chunk)
    build_s, build_cpu_s = time.perf_counter() - started, time.process_time() - cpu
    return {
        "kind": "graph (HNSW, 32 links), half precision",
        "build_s": round(build_s, 1),
        "build_cpu_s": round(build_cpu_s, 1),
        **searches(VectorIndex(graph), queries, count),
    }


def searches(index: VectorIndex, queries: FloatArray, count: int) -> dict[str, Any]:
    """Latency of one query at a time, size and recall."""
    for query in queries[:50]:
        index.search(query[None], TOP)
    latencies_ms = []
    for query in queries:
        started = time.perf_counter()
        index.search(query[None], TOP)
        latencies_ms.append((time.perf_counter() - started) * 1000)
    return {
        "index_mb": round(len(index.to_bytes()) / 2**20),
        "search_ms": {f"p{p}": round(float(np.percentile(latencies_ms, p)), 2) for p in (50, 95, 99)},
        **recalls(index, queries[:RECALL_QUERIES], count),
    }


def recalls(index: VectorIndex, queries: FloatArray, count: int) -> dict[str, float]:
    """Share of the true top 10 and top 50 found, the truth by brute force over all vectors."""
    best = np.full((len(queries), TOP), -np.inf, dtype=np.float32)
    who = np.zeros((len(queries), TOP), dtype=np.int64)
    start = 0
    for chunk in chunks(count):
        scores = np.concatenate([best, queries @ chunk.T], axis=1)
        numbers = np.concatenate(
            [who, np.arange(start, start + len(chunk))[None].repeat(len(queries), 0)], axis=1
        )
        order = np.argsort(-scores, axis=1)[:, :TOP]
        best, who = np.take_along_axis(scores, order, 1), np.take_along_axis(numbers, order, 1)
        start += len(chunk)
    _, found = index.search(queries, TOP)
    return {
        f"recall_at_{k}": round(
            float(np.mean([len(set(a[:k]) & set(b[:k])) / k for a, b in zip(who, found, strict=True)])), 4
        )
        for k in (10, 50)
    }


def chunks(count: int) -> Iterator[FloatArray]:
    """The same vectors at every call, never all at once."""
    for start in range(0, count, CHUNK):
        rng = np.random.default_rng([SEED, 2, start])
        yield vectors(rng, min(CHUNK, count - start), query=False)


def vectors(rng: np.random.Generator, count: int, *, query: bool) -> FloatArray:
    """Index vectors of data sets, or the queries for them, in the form of `recommender.profile.index`."""
    basis = load_basis()
    domains_N = rng.integers(0, DOMAINS, count)
    blocks = [_block(basis.image, rng, domains_N, 3), _block(basis.objects, rng, domains_N, 4)]
    embedding = np.concatenate(blocks, axis=1) * np.float32(np.sqrt(0.5))
    if query:
        return np.concatenate([embedding, np.ones((count, 2), dtype=np.float32)], axis=1)
    lengths = (embedding.reshape(count, 2, -1) ** 2).sum(axis=2)
    return np.concatenate([embedding, -lengths / 2], axis=1).astype(np.float32)


def _block(basis: Basis, rng: np.random.Generator, domains_N: NDArray[np.int64], stream: int) -> FloatArray:
    size = basis.frequencies_KF.shape[0]
    spectrum = COMPONENT_SPREAD * np.linspace(1.6, 0.3, size)  # the first components vary most
    centres = np.random.default_rng([SEED, stream]).normal(size=(DOMAINS, size)) * spectrum
    own = rng.normal(size=(len(domains_N), size)) * spectrum * WITHIN_DOMAIN
    means = (centres[domains_N] + own).astype(np.float32)
    spread_N1 = rng.uniform(0.5, 1.5, (len(domains_N), 1)).astype(np.float32)
    damping = np.exp(-(spread_N1**2) * (basis.frequencies_KF**2).sum(axis=0) * 2)
    angles = means @ basis.frequencies_KF
    rows = np.concatenate([damping * np.cos(angles), damping * np.sin(angles)], axis=1)
    block: FloatArray = (rows / np.sqrt(basis.frequencies_KF.shape[1])).astype(np.float32)
    return block


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
