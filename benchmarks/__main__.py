"""`python -m benchmarks`: measure, print and write what was asked for."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks._environment import header, restart_without_forced_kernels

#: The groups that measure speed, those of a quick run, and all groups.
SPEED = (
    *("train", "inference", "trees", "variants", "parallel", "many", "startup", "scaling", "kernels", "steps", "ensembles"),
    *("layers", "interrupt", "load"),
)
QUICK = ("train", "inference")
#: Those that measure accuracy, on real data, or take long, and those of several processes and of data larger than memory.
ON_REQUEST = (
    *("recipes", "tabular", "held_out", "realmlp", "realmlp_time", "ablation", "tabular_scaling", "time_limit"),
    *("series", "distributed", "shards", "outofcore"),
)
GROUPS = (*SPEED, *ON_REQUEST)
#: Below that, a table of several classes cannot be split.
LEAST_TRAIN_ROWS = 100
_ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    options = _arguments()
    if options.load:
        from benchmarks._results import load

        results = load(options.load)
    else:
        restart_without_forced_kernels()
        results = _measured(options)
    _publish(results, options)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare fastnet with the installed peers.")
    add = parser.add_argument
    quick_help = f"a first impression in a few minutes: {' and '.join(QUICK)}, fewer shapes, three short rounds; not to publish"
    add("--quick", action="store_true", help=quick_help)
    add("--only", type=_names, metavar="GROUP[,GROUP]", help=f"of {', '.join(GROUPS)} (default: those that measure speed)")
    add("--shapes", type=_names, default=(), metavar="NAME[,NAME]", help="these shapes and their variants only (xs, tab, ...)")
    add(
        "--methods",
        type=_names,
        default=(),
        metavar="NAME[,NAME]",
        help="of recipes, tabular, held_out, realmlp, ablation and series: methods whose names begin so only",
    )
    add("--rounds", type=int, help="interleaved rounds, or splits of data: 5, quick 3")
    add("--train-rows", type=int, metavar="N", help="train on at most N rows of a table, and test on the others")
    add("--results", type=Path, metavar="FILE", help="write JSON; groups of an earlier run of the same environment are kept")
    add("--load", type=Path, metavar="FILE", help="measure nothing: report the results of this file")
    add("--update-readme", action="store_true", help="put the tables of a file in benchmarks/results into README.md")
    add("--update-docs", action="store_true", help="put the tables of accuracies of such a file into the pages of docs")
    add("--goals", action="store_true", help="also show what fastnet's maintainers want to reach, and whether it is reached")
    add("--plots", type=Path, metavar="DIR", help="draw the results (needs matplotlib)")
    options = parser.parse_args()
    options.only = options.only or (QUICK if options.quick else SPEED)
    unknown = set(options.only) - set(GROUPS)
    if unknown:
        parser.error(f"unknown group {', '.join(sorted(unknown))}: choose from {', '.join(GROUPS)}")
    for name, value, least in (("--rounds", options.rounds, 1), ("--train-rows", options.train_rows, LEAST_TRAIN_ROWS)):
        if value is not None and value < least:
            parser.error(f"{name} must be at least {least}, got {value}")
    source = options.load or options.results
    publishes = options.update_readme or options.update_docs
    if publishes and (options.quick or source is None or source.resolve().parent != _ROOT / "benchmarks" / "results"):
        parser.error("--update-... publishes a full run: give --results or --load with a file in benchmarks/results")
    return options


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks import _report
    from benchmarks._pool import Pool
    from benchmarks._results import Options, merged, save

    protocol = Options.of(
        options.quick, options.rounds, shapes=options.shapes, train_rows=options.train_rows, methods=options.methods
    )
    results: dict[str, Any] = {"environment": header(), "options": protocol.kept(), "notes": [], "groups": {}}
    if options.results:
        results = merged(results, options.results)
    print(_report.environment(results["environment"]), flush=True)
    with Pool(protocol, options.goals) as pool:
        for name in options.only:

            def keep(group: dict[str, Any], name: str = name) -> None:
                results["groups"][name] = group
                results["notes"] += [note for note in pool.notes if note not in results["notes"]]
                if options.results:
                    save(results, options.results)

            group = import_module(f"benchmarks.{name}")
            print(f"{name}: {group.TITLE}", flush=True)
            pool.earlier, pool.keep = results["groups"].get(name), keep
            keep(group.run(pool))
    return results


def _publish(results: dict[str, Any], options: argparse.Namespace) -> None:
    from benchmarks import _report
    from benchmarks._results import without_goals

    if not options.goals:
        groups = {name: {**group, "rows": list(map(without_goals, group["rows"]))} for name, group in results["groups"].items()}
        results = {**results, "groups": groups}
    if not options.quick:
        print("\n" + _report.markdown(results))
    print(_report.disturbance(results))
    if options.update_readme:
        _report.update_readme(_ROOT / "README.md", results, (options.load or options.results).name)
    if options.update_docs:
        from benchmarks._pages import update_docs

        update_docs(_ROOT / "docs", results, (options.load or options.results).name)
    if options.plots:
        from benchmarks._plots import draw

        for file in draw(results, options.plots):
            print(f"drew {file}")


if __name__ == "__main__":
    main()
