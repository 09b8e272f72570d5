"""docs/results/papers.md from the JSON lines: every claim, met or not; no run is dropped."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev

from paper.runs import BENCHMARKS, Claim, Experiment, Line, key_of

NOTES = Path(__file__).parent / "notes.toml"
PEERS = BENCHMARKS / "runs" / "methods.jsonl"
COMMAND = "python benchmarks/paper"


@dataclass(frozen=True)
class Outcome:
    """What the runs say of one claim."""

    values: tuple[float, ...]  # one a run, or a pair of runs, that did not fail
    wanted: int
    failed: int  # of the wanted runs or pairs, those in which one failed
    verdict: str  # met, missed, reported, failed, incomplete, not run

    @property
    def missed(self) -> bool:
        """Whether all runs are there and the band is not met."""
        return self.verdict == "**missed**"


def judge(
    claim: Claim, plan: Sequence[tuple[str, int]], lines: Mapping[tuple[str, int], Line]
) -> Outcome:
    """Hold a claim against its runs; ``plan`` and ``lines`` are by (setting, seed).

    A claim is met or missed only when all its runs are there and none failed: a mean over what
    happened to succeed would flatter.
    """
    there = set(plan)
    seeds = dict.fromkeys(seed for _, seed in plan)
    wanted = [
        ((one, seed), (other, seed))
        for one, other in zip(claim.over, claim.against or claim.over, strict=True)
        for seed in seeds
        if {(one, seed), (other, seed)} <= there
    ]
    failed = sum(any(key in lines and lines[key]["error"] for key in keys) for keys in wanted)
    values = []
    for keys in wanted:
        if any(key not in lines or lines[key]["error"] for key in keys):
            continue
        value, other = (float(lines[key]["figures"][claim.figure]) for key in keys)
        values.append(value - other if claim.against else value)
    return Outcome(tuple(values), len(wanted), failed, _verdict(claim, values, len(wanted), failed))


def _verdict(claim: Claim, values: Sequence[float], wanted: int, failed: int) -> str:
    if failed:
        return f"**failed** ({failed} of {wanted})"
    if not values:
        return "not run"
    if len(values) < wanted:
        return f"incomplete ({len(values)} of {wanted})"
    if claim.low is None and claim.high is None:
        return "reported"
    low = claim.low is None or mean(values) >= claim.low
    high = claim.high is None or mean(values) <= claim.high
    return "met" if low and high else "**missed**"


def write(
    experiments: Sequence[Experiment],
    lines: Sequence[Line],
    *,
    notes: Mapping[str, str],
    peers: Peers | None = None,
    quick: bool = False,
) -> str:
    """Write the whole page.

    Parameters
    ----------
    experiments
        What there is to report; one that needs ``--data`` and has no line is named only.
    lines
        Of any experiment and version; those of others than the present ones are not used.
    notes
        What was tried for a missed line, by ``experiment/claim``.
    peers
        Runs of our methods beside their namesakes.
    quick
        Hold claims against the runs of ``--quick`` only.
    """
    plans = {e.name: e.plan(quick) for e in experiments}
    wanted = {
        (e.name, setting, seed, e.version): e
        for e in experiments
        for setting, seed in plans[e.name]
    }
    used = [line for line in lines if key_of(line) in wanted]
    begun = {line["experiment"] for line in used}
    shown = [e for e in experiments if plans[e.name] and (not e.needs or e.name in begun)]
    parts = [_head(shown, used, plans, quick)]
    for experiment in shown:
        parts.append(_section(experiment, plans[experiment.name], used, notes, quick))
    left = [e for e in experiments if e.needs and e.name not in begun]
    if left and not quick:
        parts.append(_left(left))
    parts.append(_failures(used))
    if peers is not None and not quick:
        parts.append(peers.section())
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(
    shown: Sequence[Experiment],
    used: Sequence[Line],
    plans: Mapping[str, Sequence[tuple[str, int]]],
    quick: bool,
) -> str:
    verdicts = [
        judge(claim, plans[e.name], _own(e, used)).verdict.split(" (")[0].strip("*")
        for e in shown
        for claim in e.claims
        if _concerns(claim, plans[e.name])
    ]
    counted = ", ".join(
        f"{verdicts.count(name)} {name}"
        for name in ("met", "missed", "failed", "incomplete", "not run", "reported")
        if name in verdicts
    )
    made = {
        name: ", ".join(sorted({str(line[name]) for line in used})) or "none"
        for name in ("askew", "commit", "torch", "python")
    }
    seconds = sum(line["cpu_seconds"] for line in used)
    target = "make paper-quick" if quick else "make paper"
    return "\n\n".join(
        (
            "# The papers' figures" + (", a quick look" if quick else ""),
            f"Written by `{target}` from the runs' own lines; not by hand. What is checked are the "
            "acceptance lists of the methods' specifications, on the data of `../shared/panel`. "
            "Figures are shares of 1, means over runs ± their standard deviation. A line is met or "
            "missed only when all its runs are there and none failed. *Re-implementation* marks a "
            "figure that somebody measured with code of their own, where the paper's is not at "
            "hand." + " This page takes a part of the settings and seeds only." * quick,
            f"In all: {counted or 'nothing run'}. {len(used)} runs, {seconds / 60:.0f} minutes of "
            f"one core. Made with askew {made['askew']} (commit {made['commit']}), torch "
            f"{made['torch']}, Python {made['python']}.",
        )
    )


def _section(
    experiment: Experiment,
    plan: Sequence[tuple[str, int]],
    used: Sequence[Line],
    notes: Mapping[str, str],
    quick: bool,
) -> str:
    own = _own(experiment, used)
    command = f"`{COMMAND} --only {experiment.name}"
    command += " --data DIR" * bool(experiment.needs) + " --quick" * quick + "`"
    rows = [("claim", "ours", "runs", "published", "source", "band", "verdict", "command")]
    tried = []
    for claim in experiment.claims:
        if not _concerns(claim, plan):
            continue
        outcome = judge(claim, plan, own)
        rows.append(
            (
                claim.text,
                _ours(claim, outcome),
                f"{len(outcome.values)} of {outcome.wanted}",
                claim.published,
                claim.source,
                _band(claim),
                outcome.verdict,
                command,
            )
        )
        if outcome.missed:
            note = notes.get(f"{experiment.name}/{claim.key}", "nothing is written down.")
            tried.append(f"- **{claim.text}**, missed. Tried: {' '.join(note.split())}")
    parts = [f"## {experiment.name}", experiment.about, _table(rows)]
    if tried:
        parts.append("\n".join(tried))
    return "\n\n".join(parts)


def _left(left: Iterable[Experiment]) -> str:
    rows = [f"- `{COMMAND} --only {e.name} --data DIR`: {e.about}" for e in left]
    return "\n\n".join(("## Not run: needs data that is not in the panel", "\n".join(rows)))


def _failures(used: Iterable[Line]) -> str:
    rows = [
        f"- {line['experiment']}, {line['setting']}, seed {line['seed']}: "
        f"{' '.join(line['error'].split())}"
        for line in sorted(used, key=key_of)
        if line["error"]
    ]
    return "\n\n".join(("## Runs that failed", "\n".join(rows))) if rows else ""


def _own(experiment: Experiment, used: Iterable[Line]) -> dict[tuple[str, int], Line]:
    return {
        (line["setting"], line["seed"]): line
        for line in used
        if line["experiment"] == experiment.name
    }


def _concerns(claim: Claim, plan: Iterable[tuple[str, int]]) -> bool:
    """Whether a plan (that of ``--quick`` is shorter) has a setting that a claim looks at."""
    settings = {setting for setting, _ in plan}
    pairs = zip(claim.over, claim.against or claim.over, strict=True)
    return any(set(pair) <= settings for pair in pairs)


def _ours(claim: Claim, outcome: Outcome) -> str:
    if not outcome.values:
        return "–"
    sign = "+" if claim.against or claim.figure == "gain" else ""
    places = 1 if claim.unit == "count" else 3
    spread = f" ± {stdev(outcome.values):.{places}f}" if len(outcome.values) > 1 else ""
    return f"{mean(outcome.values):{sign}.{places}f}{spread}"


def _band(claim: Claim) -> str:
    low, high = (None if edge is None else f"{edge:g}" for edge in (claim.low, claim.high))
    if low and high:
        return f"{low} to {high}"
    if low or high:
        return f"≥ {low}" if low else f"≤ {high}"
    return "–"


def _table(rows: Sequence[Sequence[str]]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    head, *body = ["| " + " | ".join(row) + " |" for row in escaped]
    return "\n".join((head, "|" + " --- |" * len(rows[0]), *body))


def read_notes(path: Path = NOTES) -> dict[str, str]:
    """Read what was tried, by ``experiment/claim``."""
    return dict(tomllib.loads(path.read_text()))


# --- our methods beside their namesakes


@dataclass(frozen=True)
class Peers:
    """Runs of benchmarks/methods.py, and what should be there.

    Parameters
    ----------
    lines
        One a run: who, table, seed, ap, roc, error; of one version.
    namesakes
        Name of our method -> peers, as ``library.Class``.
    tables, seeds
        What each is run on.
    """

    lines: Sequence[Line]
    namesakes: Mapping[str, Sequence[str]]
    tables: Sequence[str]
    seeds: Sequence[int] = field(default=(0, 1, 2))

    def section(self) -> str:
        """Write the table: pairs over the runs that both have, and what is missing."""
        runs: dict[str, dict[tuple[str, int], Line]] = {}
        places = {(table, seed) for table in self.tables for seed in self.seeds}
        for line in self.lines:
            place = (line["table"], line["seed"])
            if place in places:
                runs.setdefault(line["who"], {})[place] = line
        rows: list[tuple[str, ...]] = [
            (
                *("ours", "namesake", "runs of both", "failed, ours / theirs"),
                *("AP: ours", "theirs", "difference"),
                *("ROC AUC: ours", "theirs", "difference"),
            )
        ]
        for name, peers in self.namesakes.items():
            rows += [self._row(f"askew.{name}", peer, runs, len(places)) for peer in peers]
        everyone = [f"askew.{name}" for name in self.namesakes]
        everyone += dict.fromkeys(peer for peers in self.namesakes.values() for peer in peers)
        gaps = [
            f"{who} {len(places) - len(runs.get(who, {}))}"
            for who in everyone
            if len(runs.get(who, {})) < len(places)
        ]
        lacking = (
            f"Runs still missing, of {len(places)} each: {', '.join(gaps)}."
            if gaps
            else (f"All {len(places)} runs of each are there.")
        )
        return "\n\n".join(
            (
                "## Our methods beside their namesakes",
                f"Library defaults on both sides, {len(self.tables)} tables of the panel, 5 % of "
                f"the training anomalies known, seeds {', '.join(map(str, self.seeds))}; means "
                "over the runs that both have. A run that fails counts as chance (average "
                "precision 0.1, ROC AUC 0.5).",
                "    make bench-methods",
                _table(rows),
                lacking,
            )
        )

    @staticmethod
    def _row(
        ours: str,
        theirs: str,
        runs: Mapping[str, Mapping[tuple[str, int], Line]],
        wanted: int,
    ) -> tuple[str, ...]:
        pair = runs.get(ours, {}), runs.get(theirs, {})
        both = sorted(set(pair[0]) & set(pair[1]))
        row = [ours, theirs, f"{len(both)} of {wanted}"]
        if not both:
            return (*row, *(["–"] * 7))
        failed = (str(sum(run[k]["error"] is not None for k in both)) for run in pair)
        row.append(" / ".join(failed))
        for figure in ("ap", "roc"):
            here, there = (mean(run[k][figure] for k in both) for run in pair)
            row += [f"{here:.3f}", f"{there:.3f}", f"{here - there:+.3f}"]
        return tuple(row)


def peers(path: Path = PEERS) -> Peers:
    """Read the runs of benchmarks/methods.py, of its present version."""
    from quality import LEFT_OUT

    import methods
    from paper.common import SHARED

    text = path.read_text() if path.is_file() else ""
    lines = [json.loads(one) for one in text.splitlines()]
    lines = [line for line in lines if line["version"] == methods.VERSION]
    here = sorted(file.stem for file in (SHARED / "data").glob("*.npz"))
    tables = [
        name for name in here or sorted({line["table"] for line in lines}) if name != LEFT_OUT
    ]
    return Peers(lines, methods.NAMESAKES, tables)
