"""The loop: ask, judge, learn. A table at which one reviewer sits, or several.

Verdicts live in the store alone; a session reads what is new there before it acts, so that
several processes may sit at one table. A model follows from the table, the seed and what holds of
each row, whatever the order in which it was said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock, RLock
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from askew.errors import LabelError, MethodError
from askew.labels import Label, Labels, read_labels
from askew.model import Askew, Prepared
from askew.rankers import ActiveBlend
from askew.review.estimates import Estimates, StoppingHint, estimate, stopping_hint
from askew.review.store import Store
from askew.review.verdicts import Judgment, Line, Question, Rule, Standing, Verdict, standings
from askew.strategies import Pick, Pool, choose, explain, random_order
from askew.table import open_frame
from askew.table.encode import encode
from askew.table.schema import check_columns


@dataclass(frozen=True)
class Ranking:
    """A model and what it says of the session's rows; it never changes once made.

    Parameters
    ----------
    model
        Fitted on the verdicts up to line ``number`` of the store.
    number
        Of the last line that it knows.
    scores
        (n,), above 0 is called an anomaly.
    members
        (n, m) of its members on one scale, or None.
    """

    model: Askew
    number: int
    scores: NDArray[np.float64]
    members: NDArray[np.float64] | None


@dataclass(frozen=True)
class Card:
    """A row to be judged.

    Parameters
    ----------
    key
        By which its verdict is told.
    row
        Its place in the table, from 0.
    why
        Why it is asked, in words: ``"ranked 4th"``.
    question
        What the store keeps of the asking.
    """

    key: str
    row: int
    why: str
    question: Question


class Session:
    """Ask, tell, undo, refit and estimate, over a table and a store of verdicts.

    Methods may be called from several threads, and sessions of several processes may share a
    store. A refit runs beside them and its ranking is swapped in whole.

    Parameters
    ----------
    table
        (n, d): a pandas or polars DataFrame, a pyarrow Table, or an array of numbers; no column
        of verdicts in it.
    store
        Where verdicts are kept (``askew.review.store.open_store``).
    id_column
        The column that names the rows; else a pandas index does, else a hash of their content.
    kinds
        As ``Askew`` takes them.
    verdicts
        Known before the first question, as ``Askew.fit`` takes them; a verdict of the store on
        the same row counts instead.
    ranker
        As ``Askew`` takes it; ``ActiveBlend`` where None.
    model
        A fitted one to start from, in place of id_column, kinds and ranker, which are its own. Its
        ranking of this table is in force until the first refit, which learns from this table and
        its verdicts alone: what the model knows from verdicts on other rows ends there.
    strategy
        Which rows to ask: a name in ``askew.strategies.STRATEGIES``.
    reviewer
        Who judges here; `ask`, `tell` and `undo` take another one.
    rule
        Which verdict holds where reviewers disagree: ``"latest"`` or ``"majority"``.
    lease
        Seconds for which an asked row is shown to nobody else.
    random_state
        Decides every draw; two sessions of one seed and store ask alike.

    Raises
    ------
    SchemaError
        The table's columns are not those that the model was fitted on.
    MethodError
        A model, and beside it what is its own.
    """

    def __init__(
        self,
        table: Any,
        store: Store,
        *,
        id_column: str | None = None,
        kinds: Mapping[str, str] | None = None,
        verdicts: Any = None,
        ranker: Any = None,
        model: Askew | None = None,
        strategy: str = "mixed",
        reviewer: str = "",
        rule: Rule = "latest",
        lease: float = 300,
        random_state: int = 0,
    ) -> None:
        self.store, self.strategy, self.reviewer = store, strategy, reviewer
        self.rule, self.lease, self.random_state = rule, lease, random_state
        if model is None:
            ranker = ActiveBlend(random_state=random_state) if ranker is None else ranker
            self._plan = Askew(ranker, id_column=id_column, kinds=kinds, random_state=random_state)
        elif any(given is not None for given in (id_column, kinds, ranker)):
            raise MethodError(
                "id_column, kinds and ranker are decided by the model; leave them out, or the model"
            )
        else:
            self._plan = _plan_of(model, table)
        self.prepared: Prepared = self._plan.prepare(table)
        self.keys = self.prepared.table.names()
        self._row = {key: row for row, key in enumerate(self.keys)}
        self._order = random_order(self.keys, random_state)
        given = read_labels(verdicts, n_rows=len(self.keys), keys=self.prepared.table.keys)
        self._given = given.values
        self._lock = RLock()
        self._asking = Lock()
        self._lines: dict[str, list[Line]] = {}
        self._standing: dict[str, Standing] = {}
        self._number = 0
        self._n_said: Counter[str] = Counter()
        self._label = self._given.copy()
        self._unsure = np.zeros(len(self.keys), bool)
        self._ranking = None if model is None else _first_ranking(model, self.prepared)
        self._refitting: Future[Ranking] | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="askew-refit")

    # -- asking and telling ------------------------------------------------------------------------

    @property
    def ranking(self) -> Ranking:
        """The ranking in force; the first is made when it is first asked for."""
        return self._ranking or self.refit()

    def ask(
        self, k: int = 1, *, reviewer: str | None = None, strategy: str | None = None
    ) -> list[Card]:
        """Give the next rows to judge, best first, and lease them to a reviewer.

        Rows that were asked here and not judged yet come again. Fewer than k come where the rest
        is judged, unsure or leased to others.

        Parameters
        ----------
        k
            How many at most.
        reviewer, strategy
            The session's own where None.
        """
        reviewer = self.reviewer if reviewer is None else reviewer
        strategy = self.strategy if strategy is None else strategy
        ranking = self.ranking
        with self._asking:  # one at a time: two at once would wish for the same rows
            with self._lock:  # not held while rows are chosen, so that verdicts never wait for it
                self.sync()
                label, unsure = self._label.copy(), self._unsure.copy()
                n_said, n_all = self._n_said[reviewer], self._n_said.total()
            others = {
                self._row[key]
                for key, who in self.store.leased().items()
                if who != reviewer and key in self._row
            }
            cards: list[Card] = []
            while len(cards) < k:
                passed = unsure.copy()
                passed[[*others, *(card.row for card in cards)]] = True
                pool = self._pool(ranking, label, passed, n_said + len(cards))
                wanted = k - len(cards)
                # A random check must be the very next of its stream, so no row is wished for that
                # would come only if another were taken; what was taken meanwhile is asked anew.
                # All reviewers share the stream: what one holds is passed over for the others.
                generator = np.random.default_rng([self.random_state, n_all + len(cards)])
                picks = choose(pool, wanted, strategy=strategy, generator=generator)
                if not picks:
                    break
                unjudged = (label == Label.UNLABELED) & ~unsure
                wishes = [_question(self.keys, ranking, unjudged, pick) for pick in picks]
                leased = self.store.lease(wishes, wanted, reviewer, self.lease)
                asked = {question.key: question for question in leased}
                for pick in picks:
                    key = self.keys[pick.row]
                    if key in asked:
                        cards.append(Card(key, pick.row, explain(pool, pick), asked[key]))
                    else:
                        others.add(pick.row)
            return cards

    def tell(
        self,
        verdicts: Mapping[Hashable, Verdict | str],
        *,
        note: str = "",
        reviewer: str | None = None,
    ) -> list[Line]:
        """Write verdicts down: ``{key: "anomaly" | "normal" | "unsure"}``, durable on return.

        A row need not have been asked. They are the session's own reviewer's where none is named.

        Raises
        ------
        LabelError
            A key that no row of this table has, or a word that is no verdict; none is written.
        """
        reviewer = self.reviewer if reviewer is None else reviewer
        judgments = []
        for key, word in verdicts.items():
            if str(key) not in self._row:
                raise LabelError(
                    f"no row has the key {key!r}; keys are {', '.join(self.keys[:3])}, …"
                )
            if word not in set(Verdict):
                raise LabelError(
                    f"{word!r} is no verdict on row {key}; say one of {', '.join(Verdict)}"
                )
            judgments.append(Judgment(str(key), Verdict(word), reviewer, note))
        lines = self.store.add(judgments)
        self.sync()
        return lines

    def undo(self, reviewer: str | None = None) -> Line | None:
        """Take back a reviewer's last verdict that stands; None where there is none.

        The session's own reviewer's where none is named.
        """
        line = self.store.undo(self.reviewer if reviewer is None else reviewer)
        self.sync()
        return line

    # -- learning ----------------------------------------------------------------------------------

    def refit(self) -> Ranking:
        """Learn from all verdicts so far; the new ranking is in force on return."""
        with self._lock:
            self.sync()
            labels = Labels(self._label.copy(), self._unsure.copy())
            number, before = self._number, self._ranking
        if before is not None and before.number == number:
            return before
        ranking = self._fit(labels, number, before)
        with self._lock:
            if self._ranking is None or self._ranking.number <= number:
                self._ranking = ranking
        return ranking

    def refit_soon(self) -> Future[Ranking]:
        """Learn in the background; asking goes on with the ranking in force meanwhile.

        A refit that waits already will know what is new, so there is never more than one waiting.
        """
        with self._lock:
            waiting = self._refitting
            if waiting is None or waiting.running() or waiting.done():
                self._refitting = waiting = self._worker.submit(self.refit)
            return waiting

    def _fit(self, labels: Labels, number: int, before: Ranking | None) -> Ranking:
        model = self._plan.learn(
            self.prepared, labels, before=None if before is None else before.model
        )
        scores = model.score_prepared(self.prepared)
        return Ranking(model, number, scores, model.members_prepared(self.prepared))

    # -- knowing -----------------------------------------------------------------------------------

    def sync(self) -> None:
        """Read what the store has that this session has not seen."""
        with self._lock:
            new = self.store.lines(since=self._number)
            if not new:
                return
            for line in new:
                self._lines.setdefault(line.key, []).append(line)
            touched = {line.key for line in new}
            for key in touched:
                held = standings(self._lines[key], self.rule)
                if key in held:
                    self._standing[key] = held[key]
                else:
                    self._standing.pop(key, None)
            self._mark(touched)
            self._number = new[-1].number
            self._n_said = Counter(
                who for key, held in self._standing.items() if key in self._row for who in held.by
            )

    def _mark(self, keys: Iterable[str]) -> None:
        for key in keys:
            row = self._row.get(key)
            if row is None:
                continue
            standing = self._standing.get(key)
            self._label[row] = self._given[row] if standing is None else standing.verdict.label
            self._unsure[row] = standing is not None and standing.verdict is Verdict.UNSURE

    @property
    def number(self) -> int:
        """The number of the last line of the store that is known here; 0 where there is none."""
        self.sync()
        return self._number

    @property
    def label(self) -> NDArray[np.int8]:
        """(n,) what holds of each row now: 1, 0, or -1 where unjudged or unsure."""
        self.sync()
        return self._label.copy()

    @property
    def standing(self) -> dict[str, Standing]:
        """What holds of each judged row of this table, and who said so."""
        with self._lock:
            self.sync()
            return {key: held for key, held in self._standing.items() if key in self._row}

    def estimate(self, k: int, *, level: float = 0.9) -> Estimates:
        """Estimate what remains, and precision and recall of the top k (see ``estimates``)."""
        ranking = self.ranking
        with self._lock:
            self.sync()
            judged = self._asked()
            label, unsure = self._label.copy(), self._unsure.copy()
        return estimate(label, unsure, *judged, ranking.scores, k, level=level)

    def hint(self, *, level: float = 0.9) -> StoppingHint:
        """Say how the queue has lately fared, and about how much remains."""
        with self._lock:
            self.sync()
            asked, random, _ = self._asked()
            return stopping_hint(self._label, self._unsure, asked, random, level=level)

    def _asked(self) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.int64]]:
        """Give the judged rows in the order in which they were chosen, and how each came."""
        first: list[tuple[int, int, int, bool, int]] = []
        for key in self._standing:
            row = self._row.get(key)
            if row is None or self._given[row] != Label.UNLABELED:
                continue
            # A later line changed the verdict, or gave it again after an undo, and asked nothing.
            said = [line for line in self._lines[key] if line.verdict is not None]
            line = next((line for line in said if line.turn is not None), said[0])
            turn = line.number if line.turn is None else line.turn
            first.append((turn, line.number, row, line.why == "random", line.place or 0))
        first.sort()
        rows, random, above = ([one[i] for one in first] for i in (2, 3, 4))
        return np.array(rows, np.intp), np.array(random, bool), np.array(above, np.int64)

    # -- inside ------------------------------------------------------------------------------------

    def _pool(
        self, ranking: Ranking, label: NDArray[np.int8], passed: NDArray[np.bool_], asked: int
    ) -> Pool:
        return Pool(
            scores=ranking.scores,
            members=ranking.members,
            label=label,
            x=self.prepared.x,
            cut=0.0,
            order=self._order,
            passed=passed,
            asked=asked,
        )

    def close(self) -> None:
        """Wait for a refit under way; the store stays open."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _question(
    keys: Sequence[str], ranking: Ranking, unjudged: NDArray[np.bool_], pick: Pick
) -> Question:
    higher = (ranking.scores > ranking.scores[pick.row]) & unjudged
    return Question(keys[pick.row], pick.why, int(higher.sum()), ranking.model.id_)


def _plan_of(model: Askew, table: Any) -> Askew:
    """Give what fits anew as a fitted model was: its ranker, its kinds of columns, its seed."""
    check_columns(model.schema_, open_frame(table, model.id_column).columns)
    kinds = {
        column.name: str(column.kind) if column.used else "ignore"
        for column in model.schema_.columns
    }
    plan: Askew = clone(model).set_params(kinds=kinds)
    return plan


def _first_ranking(model: Askew, prepared: Prepared) -> Ranking:
    """Rank a table by a model that was fitted before, perhaps on another one."""
    columns = prepared.table.columns
    read = replace(prepared, schema=model.schema_, x=encode(model.schema_, columns))
    return Ranking(model, 0, model.score_prepared(read), model.members_prepared(read))
