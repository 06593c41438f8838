"""Compares Samestate with its peers: see scripts/peers.

    scripts/peers bench                     each scenario five times; writes reports/published/
    scripts/peers bench --quick             each once, for 3 s; writes runs/peers-quick/
    scripts/peers bench --only t1,storm-2   some of the scenarios

Each scenario has a matrix over programs, so that a repetition runs all programs one after the
other. What is quoted is the median of the repetitions.
"""

import argparse
import json
import pathlib
import statistics
import sys
from html import escape

from peers_shared import NAMES, chosen, paragraph, run

SCENARIOS = {
    "t1": "T1: the article's first test",
    "t2": "T2: the article's second test",
    "storm-2": "storm to 2 clients",
    "storm-8": "storm to 8 clients",
    "paced-100": "100 actions/s",
    "paced-1000": "1,000 actions/s",
    "large-action": "1 MB of state, mode action",
    "large-snapshot": "1 MB of state, mode snapshot",
    "large-delta": "1 MB of state, mode delta",
    "joins": "joins with 1 MB of state",
}
# The name of each measure, its place in a case of the record, and whether less is better.
MEASURES = {
    "cpu_us": (("cost", "cpu_us_per_action"), True),
    "rate_per_s": (("rate", "achieved_per_s"), False),
    "replica_p50_us": (("latency_us", "replica", "p50"), True),
    "replica_p99_us": (("latency_us", "replica", "p99"), True),
    "rss_bytes": (("cost", "rss_bytes_max"), True),
    "same_percent": (("identical", "time_weighted_percent"), False),
    "unknown": (("dispatches", "unknown"), True),
    "lost": (("dispatches", "lost"), True),
    "duplicated": (("dispatches", "duplicated"), True),
}
BASELINE = "adapter"


def main():
    parser = argparse.ArgumentParser(prog="scripts/peers bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="once, for 3 s each")
    parser.add_argument("--repeat", type=int, help="repetitions; 5 by default")
    parser.add_argument("--duration", help="of each run, such as 4s; by default that of its scenario")
    parser.add_argument("--only", help="scenarios, with commas between them")
    parser.add_argument("--out", type=pathlib.Path, help="the folder of the results")
    arguments = parser.parse_args()
    names = chosen(parser, arguments, SCENARIOS)
    repeat = arguments.repeat or (1 if arguments.quick else 5)
    published = pathlib.Path("runs/peers-quick" if arguments.quick else "reports/published")
    out = arguments.out or published

    duration = arguments.duration or ("3s" if arguments.quick else None)
    options = ["--duration", duration] if duration else []
    measured = {name: {} for name in names}
    facts = {}
    for repetition in range(repeat):
        for name in names:
            print(f"{name}, {repetition + 1} of {repeat}", file=sys.stderr)
            code, cases = run(name, options, facts)
            # 3 and 6 are verdicts, which the table tells.
            if code not in (0, 3, 6):
                sys.exit(f"{name} ended with {code}; see samestate run scenarios/peers/{name}.yaml")
            for case in cases:
                program = case["with"]["program"]
                of = measured[name].setdefault(program, {"verdicts": []})
                of["verdicts"].append(case["verdict"])
                for measure, (path, _) in MEASURES.items():
                    of.setdefault(measure, []).append(at(case, path))
    summary = {
        "command": " ".join(["scripts/peers bench", *sys.argv[1:]]),
        **facts,
        "repetitions": repeat,
        "scenarios": {
            name: {program: summed(of) for program, of in programs.items()}
            for name, programs in measured.items()
        },
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.json").write_text(json.dumps(summary, indent=1) + "\n")
    (out / "peers.md").write_text(markdown(summary))
    (out / "peers.svg").write_text(svg(summary))
    print(f"wrote {out}/peers.json, peers.md and peers.svg")


def at(case, path):
    for key in path:
        case = case.get(key) if case else None
    return case


def summed(of):
    def of_one(values):
        known = [value for value in values if value is not None]
        if not known:
            return None
        return {"median": statistics.median(known), "min": min(known), "max": max(known)}

    summed = {measure: of_one(of[measure]) for measure in MEASURES}
    return {"verdicts": of["verdicts"], **summed}


def median(of, measure):
    return of[measure]["median"] if of and of[measure] else None


def shown(value, unit):
    if value is None:
        return "–"
    if unit == "us":
        return f"{value / 1000:,.1f} ms" if value >= 1000 else f"{value:,.3g} µs"
    if unit == "MB":
        return f"{value / 1e6:,.0f} MB"
    if unit == "percent":
        return f"{value:.1f} %"
    return f"{value:,.0f}"


def ratio(value, of):
    return "–" if not value or not of else f"{value / of:.2f} ×"


def markdown(summary):
    machine = summary["machine"]
    text = [
        "# Samestate and its peers",
        "",
        paragraph(
            f"Written by `{summary['command']}`, begun {summary['started']}, on "
            f"{machine['cores']} cores ({machine['cpu']}), {machine['os']}. Each figure is the "
            f"median of {summary['repetitions']} runs, in which the programs took turns."),
        "",
        paragraph(
            "All but the first row speak with the runner by the lines of an adapter, whose cost is "
            "in their CPU; so ratios are to the second row, which is Samestate's library by the "
            "same lines. CPU is that of all processes, of brokers too. Latency is from the "
            "intended instant of a dispatch to its application at each other node. *Same* is the "
            "share of time in which all replicas were at one version. "
            "[findings.md](../../docs/findings.md) describes the adapters, the settings of the "
            "brokers, and what the systems promise."),
    ]
    for name, programs in summary["scenarios"].items():
        base = programs.get(BASELINE) or {}
        text += [
            "", f"## {SCENARIOS[name]}", "",
            f"`scenarios/peers/{name}.yaml`", "",
            "| | CPU an action | ratio | actions/s | latency p50 | p99 | memory | same | lost, "
            "twice, unknown |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        cheaper = []
        for program, of in programs.items():
            cpu, base_cpu = median(of, "cpu_us"), median(base, "cpu_us") if base else None
            if program not in ("samestate", BASELINE) and cpu and base_cpu and cpu < base_cpu:
                cheaper.append(NAMES[program])
            counts = ", ".join(shown(median(of, m), "") for m in ("lost", "duplicated", "unknown"))
            text.append("| " + " | ".join([
                NAMES[program], shown(cpu, "us"), ratio(cpu, base_cpu),
                shown(median(of, "rate_per_s"), ""),
                shown(median(of, "replica_p50_us"), "us"),
                shown(median(of, "replica_p99_us"), "us"),
                shown(median(of, "rss_bytes"), "MB"), shown(median(of, "same_percent"), "percent"),
                counts,
            ]) + " |")
        if cheaper:
            text += ["", paragraph(f"Cheaper than Samestate by an adapter: {', '.join(cheaper)}.")]
    return "\n".join(text) + "\n"


def svg(summary):
    """Bars of the CPU of an action, a panel for each scenario, on one logarithmic scale."""
    left, width, row, top = 230, 420, 18, 58
    panels = [(name, [(program, median(of, "cpu_us")) for program, of in programs.items()])
              for name, programs in summary["scenarios"].items()]
    known = [cpu for _, bars in panels for _, cpu in bars if cpu]
    if not known:
        return "<svg xmlns='http://www.w3.org/2000/svg'/>\n"
    import math
    low = math.floor(math.log10(min(known)))
    high = max(math.ceil(math.log10(max(known))), low + 1)
    height = top + sum(30 + row * len(bars) for _, bars in panels) + 20
    x = lambda cpu: left + (math.log10(cpu) - low) / (high - low) * width
    out = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{left + width + 90}' height='{height}' "
        "font-family='sans-serif' font-size='12'>",
        f"<rect width='100%' height='100%' fill='white'/>",
        "<text x='12' y='22' font-size='15'>CPU of an action, all processes, logarithmic</text>",
    ]
    for power in range(low, high + 1):
        at_x = x(10.0 ** power)
        out.append(f"<line x1='{at_x:.1f}' y1='{top - 14}' x2='{at_x:.1f}' y2='{height - 14}' "
                   "stroke='#ddd'/>")
        out.append(f"<text x='{at_x:.1f}' y='{top - 18}' text-anchor='middle' fill='#666'>"
                   f"{shown(10.0 ** power, 'us')}</text>")
    y = top
    for name, bars in panels:
        y += 18
        out.append(f"<text x='12' y='{y}' font-weight='bold'>{escape(SCENARIOS[name])}</text>")
        y += 6
        for program, cpu in bars:
            own = program in ("samestate", BASELINE)
            out.append(f"<text x='{left - 8}' y='{y + 12}' text-anchor='end'>"
                       f"{escape(NAMES[program])}</text>")
            if cpu:
                out.append(f"<rect x='{left}' y='{y + 2}' width='{max(x(cpu) - left, 1):.1f}' "
                           f"height='{row - 5}' fill='{'#2563a8' if own else '#b0a48c'}'/>")
            out.append(f"<text x='{(x(cpu) if cpu else left) + 5:.1f}' y='{y + 12}'>"
                       f"{shown(cpu, 'us')}</text>")
            y += row
        y += 6
    return "\n".join([*out, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
