"""Who may report, who is alive, and who is charged.

``accounts`` is who is charged: an agent with the cost centre that it had and the team that its
calls named, when they were stored. A later change of either makes another account, and moves
nothing that was charged.

``charged_as`` is the agent that is charged what the operator read as this one, where that is
another, and ``charged_as_at`` when it was last so (``names``).
"""

__all__ = ["AGENTS"]

AGENTS = """
CREATE TABLE agents (
    agent INTEGER PRIMARY KEY,
    agent_id TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    runtime TEXT NOT NULL,
    cost_center TEXT NOT NULL DEFAULT '',
    manifest TEXT,
    registered_at INTEGER NOT NULL,
    revoked_at INTEGER,
    charged_as INTEGER REFERENCES agents,
    charged_as_at INTEGER,
    UNIQUE (name, namespace)
) STRICT;

CREATE TABLE accounts (
    account INTEGER PRIMARY KEY,
    agent INTEGER NOT NULL REFERENCES agents,
    cost_center TEXT NOT NULL,
    team TEXT NOT NULL,
    hash TEXT NOT NULL,
    UNIQUE (agent, cost_center, team)
) STRICT;

CREATE TABLE api_keys (
    key_id TEXT PRIMARY KEY,
    agent INTEGER NOT NULL REFERENCES agents,
    digest BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_of_agent ON api_keys (agent);

CREATE TABLE heartbeats (
    agent INTEGER NOT NULL REFERENCES agents,
    instance_id TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    phase TEXT NOT NULL,
    score INTEGER,
    violations INTEGER NOT NULL,
    final INTEGER NOT NULL CHECK (final IN (0, 1)),
    health TEXT NOT NULL,
    gap TEXT NOT NULL,
    proof TEXT,
    usage TEXT,
    PRIMARY KEY (agent, instance_id)
) STRICT;
"""
