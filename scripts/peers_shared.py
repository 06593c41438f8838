"""What scripts/peers-bench.py and scripts/peers-faults.py share: names, runs, and text."""

import json
import pathlib
import subprocess
import sys
import tempfile
import textwrap

NAMES = {
    "samestate": "Samestate",
    "adapter": "Samestate, by an adapter",
    "redux-cluster": "redux-cluster 1.10.0",
    "redis-streams": "Redis Streams",
    "redis-pubsub": "Redis Pub/Sub, batches",
    "redis-pubsub-single": "Redis Pub/Sub, single",
    "nats-core": "NATS core, batches",
    "nats-core-single": "NATS core, single",
    "nats-jetstream": "NATS JetStream",
    "yjs": "Yjs",
}


def paragraph(text):
    """Text in lines as long as those of the other pages."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def chosen(parser, arguments, scenarios):
    """The scenarios of --only, or all of them. Ends if one is unknown, or the adapters are missing."""
    names = arguments.only.split(",") if arguments.only else list(scenarios)
    for name in names:
        if name not in scenarios:
            parser.error(f"no scenario {name!r}; there are {', '.join(scenarios)}")
    if not pathlib.Path("target/release/samestate-peers").exists():
        sys.exit("the adapters are missing; build them with: scripts/peers setup")
    return names


def run(name, options, facts):
    """Runs a scenario with all of its programs: returns the exit code, and the cases of its record.

    Ends if there is no record. The machine and the begin of the first run go into `facts`."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["target/release/samestate", "run", "-q", f"scenarios/peers/{name}.yaml"]
        command += [*options, "--out", f"{folder}/out"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
        record = pathlib.Path(folder, "out/record.json")
        if not record.exists():
            sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        record = json.loads(record.read_text())
        facts.setdefault("started", record["started"])
        facts.setdefault("machine", record["machine"])
        return done.returncode, record["cases"]
