"""Injects faults into Samestate and its peers, again and again: see scripts/peers.

    scripts/peers faults                     for an hour; writes reports/published/peers-faults.*
    scripts/peers faults --minutes 2         for two minutes; writes runs/peers-faults/

Each round runs every scenario with all of its programs, with the next seed. A round that was begun
is finished.
"""

import argparse
import json
import pathlib
import sys
import time

from peers_shared import NAMES, chosen, paragraph, run

# What each scenario does, in the order of the table.
SCENARIOS = {
    "faults": "cut twice, a client paused, one killed",
    "network": "the faults of a network, drawn from the seed",
    "half-open": "dead connections, and nobody is told",
    "corrupt": "24 bits flipped on the way",
    "restart": "the root and its server killed, with a disk",
    "restart-volatile": "the root and its server killed, without a disk",
    "redux-cluster-faults": "cut twice, a client paused, one killed",
    "yjs-faults": "cut twice, a client paused, one killed",
}
COUNTS = ("ok", "refused", "rejected", "unknown", "lost", "duplicated")
HOUR = 60


def main():
    parser = argparse.ArgumentParser(prog="scripts/peers faults", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=HOUR, help="60 by default")
    parser.add_argument("--only", help="scenarios, with commas between them")
    parser.add_argument("--out", type=pathlib.Path, help="the folder of the results")
    arguments = parser.parse_args()
    names = chosen(parser, arguments, SCENARIOS)
    whole = arguments.minutes >= HOUR and not arguments.only
    out = arguments.out or pathlib.Path("reports/published" if whole else "runs/peers-faults")

    found = {name: {} for name in names}
    facts, began, rounds = {}, time.monotonic(), 0
    while time.monotonic() - began < arguments.minutes * 60:
        rounds += 1
        for name in names:
            print(f"round {rounds}, {name}", file=sys.stderr, flush=True)
            # A verdict, of whatever kind, is a result.
            _, cases = run(name, ["--seed", str(rounds)], facts)
            for case in cases:
                program = case.get("with", {}).get("program") or program_of(name)
                add(found[name].setdefault(program, {}), case, rounds)
        minutes = (time.monotonic() - began) / 60
        summary = {
            "command": " ".join(["scripts/peers faults", *sys.argv[1:]]),
            **facts,
            "minutes": round(minutes, 1),
            "rounds": rounds,
            "scenarios": found,
        }
        out.mkdir(parents=True, exist_ok=True)
        (out / "peers-faults.json").write_text(json.dumps(summary, indent=1) + "\n")
        (out / "peers-faults.md").write_text(markdown(summary))
    print(f"wrote {out}/peers-faults.json and peers-faults.md")


def program_of(name):
    """The program of a scenario for one system alone."""
    return name.removesuffix("-faults")


def add(to, case, seed):
    """Adds the result of one run to those before it."""
    to["runs"] = to.get("runs", 0) + 1
    verdicts = to.setdefault("verdicts", {})
    verdicts[case["verdict"]] = verdicts.get(case["verdict"], 0) + 1
    for count in COUNTS:
        value = (case.get("dispatches") or {}).get(count)
        to[count] = None if value is None else (to.get(count) or 0) + value
    to["faults"] = to.get("faults", 0) + ((case.get("faults") or {}).get("injected") or 0)
    equal = (case.get("identical") or {}).get("converged_within_ms")
    if equal is None:
        to.setdefault("never_equal", []).append(seed)
    else:
        to["equal_within_ms_max"] = max(to.get("equal_within_ms_max", 0), equal)
    for violation in case.get("violations") or []:
        seeds = to.setdefault("violations", {}).setdefault(violation["invariant"], [])
        if seed not in seeds:
            seeds.append(seed)


def shown(value):
    return "–" if value is None else f"{value:,.0f}"


def markdown(summary):
    machine = summary["machine"]
    text = [
        "# Faults at Samestate and its peers",
        "",
        paragraph(
            f"Written by `{summary['command']}`, begun {summary['started']}, on "
            f"{machine['cores']} cores ({machine['cpu']}), {machine['os']}: {summary['rounds']} "
            f"rounds in {summary['minutes']:.0f} minutes, each with a seed of its own. Each line "
            "is the sum over its runs."),
        "",
        paragraph(
            "*Equal within* is the longest time from the end of load and faults until all "
            "replicas were equal; *never* names the number of runs in which they were not within "
            "the time that the runner waits. *Violations* names the invariants of "
            "[ARCHITECTURE.md](../../docs/ARCHITECTURE.md#the-invariants) that the history broke, "
            "with the number of runs. [findings.md](../../docs/findings.md) says what the systems "
            "promise."),
    ]
    for name, programs in summary["scenarios"].items():
        text += [
            "", f"## {SCENARIOS[name]}", "",
            f"`scenarios/peers/{name}.yaml`", "",
            "| | runs | faults | ok | refused | unknown | lost | twice | equal within | violations |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for program, of in programs.items():
            equal = of.get("equal_within_ms_max")
            equal = "–" if equal is None else f"{equal:,.0f} ms"
            if of.get("never_equal"):
                equal += f"; never: {len(of['never_equal'])}"
            violations = ", ".join(f"{invariant}: {len(seeds)}" for invariant, seeds
                                   in sorted(of.get("violations", {}).items())) or "none"
            counts = (shown(of.get(count)) for count in ("faults", *COUNTS) if count != "rejected")
            text.append("| " + " | ".join([NAMES[program], str(of["runs"]), *counts, equal,
                                           violations]) + " |")
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    main()
