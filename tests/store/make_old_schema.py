"""`python -m tests.store.make_old_schema REVISION FILE`: a store as that revision left it, with rows in it.

Run before a migration is changed or added on top; the files under `old_schemas/` are never made again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from recommender.store import schema
from recommender.store.codec import to_bytes
from recommender.store.engine import connect, resolve
from recommender.store.records_json import digest_of, encode
from tests.store.builders import checkpoint, profile, run

_INSERTS = {
    "profiles": "INSERT INTO profiles VALUES (:dataset_hash, :encoder, :data)",
    "checkpoints": "INSERT INTO checkpoints VALUES (:name, :record, :digest)",
    "runs": "INSERT INTO runs VALUES"
    " (:id, :kind, :status, :target_hash, :checkpoint, :mode, :created_at, :record, :digest)",
}
# Recommendations that were asked for and the events of one, as the tables of 0003 to 0005 kept them.
_QUEUE = (
    "INSERT INTO asks VALUES ('rec_1', 'ada', 'ds_1', 'hash', '{}', 'key', 'succeeded', '2026-11-01T00:00:00+00:00',"
    " '2026-11-01T00:01:00+00:00', '{\"answer\": 1}', NULL, 'service', 7, 1)",
    "INSERT INTO asks VALUES ('rec_2', 'ada', 'ds_1', 'hash', '{\"epochs\": 5}', 'other', 'running',"
    " '2026-11-02T00:00:00+00:00', NULL, NULL, NULL, 'killed', 3, 2)",
    "INSERT INTO events VALUES ('recommendation/rec_2', 1, 'status', '{\"status\": \"queued\"}', '2026-11-02')",
    "INSERT INTO events VALUES ('recommendation/rec_2', 2, 'progress', '{\"done\": 1}', '2026-11-03')",
    "INSERT INTO claims VALUES ('run-1', 4)",
)


def make(revision: str, file: Path) -> None:
    """Migrate a new file up to `revision` and put one row of each kind in."""
    engine = connect(resolve(file))
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config = Config()
        config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for table, row in _rows().items():
            connection.execute(text(_INSERTS[table]), row)
        for statement in _QUEUE if "0003" <= revision < "0006" else ():
            connection.exec_driver_sql(statement)
    engine.dispose()


def _rows() -> dict[str, dict[str, object]]:
    kept, one = checkpoint(), run()
    return {
        "profiles": {"dataset_hash": "masks-0", "encoder": "probe-1", "data": to_bytes(profile())},
        "checkpoints": {"name": kept.name, "record": encode(kept), "digest": digest_of(encode(kept))},
        "runs": {
            "id": one.id,
            "kind": one.kind,
            "status": one.status,
            "target_hash": one.target_hash,
            "checkpoint": one.start.checkpoint,
            "mode": one.start.mode,
            "created_at": one.created_at,
            "record": encode(one),
            "digest": digest_of(encode(one)),
        },
    }


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
