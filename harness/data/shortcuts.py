"""Looks for shortcuts of a task: cheap predictors, fitted on one draw and scored on another.

Axes: b batch, p places of an example's targets, q questions, k summaries, s size of a value,
c classes.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import final

import numpy as np
import torch
from scipy.sparse import hstack

from harness.contract.batch import Batch
from harness.contract.labels import one_hot
from harness.contract.task import LearningTask, Split
from harness.core.errors import SpecError
from harness.core.seeding import stream
from harness.data.cheap_views import TOGETHER, Array, Questions, answers, asked, questions

FITTED, SCORED = 20_000, 100_000
"""Questions on which predictors are fitted and scored, at most; 16 examples are always scored."""
MOST_CLASSES, MOST_VALUES = 32, 8
"""Of what boosted trees answer in seconds: each class and each value needs trees of its own."""
RESAMPLED = 200
COPIED = ("input at the place", "input in step", "first input", "last input", "mean so far")
"""Numbers that may be values themselves, up to a scale; each is tried alone."""

Predictor = Callable[[Questions], Array]
"""Answers questions: (q,) labels or (q, s) values."""


class NotApplicableError(Exception):
    """Why a predictor cannot answer a task's questions."""


@final
@dataclass(frozen=True)
class Finding:
    """What one predictor reaches."""

    predictor: str
    score: float | None
    """The task's metric on the test draw; None where the predictor does not apply."""
    error: float = 0.0
    """The score's standard error over examples, by the bootstrap."""
    reason: str = ""
    """Why it does not apply."""


def search(task: LearningTask, n: int, *, trees: bool = True) -> list[Finding]:
    """Try every cheap predictor on a task, the best first, those that do not apply last.

    Args:
        task: What is asked.
        n: Examples to fit on, and at most as many to score on.
        trees: Whether boosted trees are tried, which take longer than all others together.

    Raises:
        SpecError: scikit-learn is not installed.
    """
    learners("linear_model")
    if task.outputs.documents > 1:
        return [Finding("all", None, reason="an example is of several sequences")]
    fit, test = _examples(task, "train", n), _examples(task, "test", n)
    test = test[: max(16, SCORED // max(1, int(asked(test[:16]).sum(1).mean())))]
    labels = np.unique(answers(fit).numpy()[asked(fit)])
    if len(labels) < 2:
        return [Finding("all", None, reason="there is but one answer")]
    known = questions(task, fit, _some(asked(fit), FITTED), labels)
    posed = questions(task, test, asked(test), labels)
    found: list[Finding] = []
    for name, fitted in _predictors(fit, known, trees=trees):
        try:
            found.append(_scored(task, name, test, posed, fitted()(posed)))
        except NotApplicableError as reason:
            found.append(Finding(name, None, reason=str(reason)))
    sign = 1 if task.outputs.higher_is_better else -1
    return sorted(
        found, key=lambda one: -np.inf if one.score is None else sign * one.score, reverse=True
    )


def learners(module: str) -> ModuleType:
    """Import a part of scikit-learn, which takes a second.

    Raises:
        SpecError: It is not installed.
    """
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise SpecError(
            "The search for shortcuts needs scikit-learn; run `pip install 'ssm-bench[shortcuts]'`."
        ) from error


def _examples(task: LearningTask, split: Split, n: int) -> Batch:
    """Draw examples of a task, or n of a stored split's at random."""
    rng = stream(task.name, task.version, "shortcuts", split)
    drawn = task.new_examples(n, rng)
    if drawn is None:
        rows = task.rows(split)
        order = torch.randperm(len(rows.examples), generator=rng)
        drawn = rows.prepare(rows.examples[order[:n]])
    return drawn.to(torch.device("cpu"))


def _some(mask: Array, count: int) -> Array:
    """Keep so many of the places that are marked, drawn at random, or all."""
    marked = np.flatnonzero(mask)
    kept = np.zeros(mask.size, bool)
    order = torch.randperm(len(marked), generator=stream("shortcuts", "fitted"))
    kept[marked[order[:count].numpy()]] = True
    return kept.reshape(mask.shape)


def _predictors(
    fit: Batch, known: Questions, *, trees: bool
) -> Iterator[tuple[str, Callable[[], Predictor]]]:
    """Yield each predictor by name, with what fits it."""
    yield "usual answer at the place", partial(_usual, fit)
    if known.answers.ndim == 1:
        for name in known.tokens:
            yield name, partial(_told, known, name)
    else:
        for name in COPIED:
            yield name, partial(_linear, known, _alone(name))
    yield "linear model", partial(_linear, known, lambda q: q.numbers)
    if trees:
        yield "boosted trees", partial(_trees, known)


def _alone(name: str) -> Callable[[Questions], Array]:
    """Return what sees one kind of summary only."""
    return lambda q: q.summaries[name]


def _told(known: Questions, name: str) -> Predictor:
    """Answer with a token that was seen, or else with the commonest label."""
    labels, counts = np.unique(known.answers, return_counts=True)
    usual = labels[counts.argmax()]
    return lambda q: np.where(np.isin(q.tokens[name], labels), q.tokens[name], usual)


def _usual(fit: Batch) -> Predictor:
    """Answer every place with its commonest label, or its mean."""
    targets, mask = answers(fit).numpy(), asked(fit)
    if targets.shape[1] == 1:
        raise NotApplicableError("every example has one answer")
    if targets.ndim == 3:
        mean = targets.mean(0)
        return lambda q: mean[q.place]
    counts = np.zeros((targets.shape[1], targets.max() + 1), np.int64)
    np.add.at(counts, (np.nonzero(mask)[1], targets[mask]), 1)
    # Test examples may be longer than any of training: what is commonest at all stands there.
    usual = np.where(counts.any(1), counts.argmax(1), counts.sum(0).argmax())
    return lambda q: np.append(usual, counts.sum(0).argmax())[q.place.clip(max=len(usual))]


def _linear(known: Questions, view: Callable[[Questions], Array]) -> Predictor:
    """Fit a ridge regression; of labels, one for each, of which the largest is the answer."""
    linear, shaped = learners("linear_model"), learners("preprocessing")
    scaler = shaped.StandardScaler().fit(view(known))
    tokens = shaped.OneHotEncoder(handle_unknown="ignore")
    if known.tokens:
        tokens.fit(known.hints)

    def seen(q: Questions) -> object:
        scaled = scaler.transform(view(q))
        return hstack([scaled, tokens.transform(q.hints)]).tocsr() if q.tokens else scaled

    model = linear.Ridge() if known.answers.ndim == 2 else linear.RidgeClassifier()
    model.fit(seen(known), known.answers)
    return lambda q: model.predict(seen(q)).reshape(len(q.place), *known.answers.shape[1:])


def _trees(known: Questions) -> Predictor:
    """Fit gradient boosting; of values, a model for each."""
    ensemble = learners("ensemble")
    seen = known.table
    if known.answers.ndim == 2:
        if (values := known.answers.shape[1]) > MOST_VALUES:
            raise NotApplicableError(f"{values:,} values are asked at once, not {MOST_VALUES}")
        fitted = [
            ensemble.HistGradientBoostingRegressor(random_state=0).fit(seen, column)
            for column in known.answers.T
        ]
        return lambda q: np.stack([model.predict(q.table) for model in fitted], 1)
    if (classes := len(np.unique(known.answers))) > MOST_CLASSES:
        raise NotApplicableError(f"there are {classes} classes, not {MOST_CLASSES} at most")
    model = ensemble.HistGradientBoostingClassifier(random_state=0).fit(seen, known.answers)
    return lambda q: np.asarray(model.predict(q.table))


def _scored(
    task: LearningTask, name: str, test: Batch, posed: Questions, guesses: Array
) -> Finding:
    """Score answers by the task's own metric."""
    outputs, wanted = task.outputs, answers(test)
    filled = torch.zeros_like(wanted)
    filled[posed.example, posed.place] = torch.from_numpy(guesses).to(wanted.dtype)
    filled = filled.reshape(test.targets.shape)
    classes = outputs.constant(test.targets).shape[-1]
    parts = [
        outputs.per_example(rows if rows.is_floating_point() else one_hot(rows, classes), targets)
        for rows, targets in zip(filled.split(TOGETHER), test.targets.split(TOGETHER), strict=True)
    ]
    figures = torch.cat(parts)
    draws = torch.randint(
        len(figures), (RESAMPLED, len(figures)), generator=stream("shortcuts", "bootstrap")
    )
    spread = [outputs.score(figures[rows], len(rows))[outputs.metric] for rows in draws]
    score = outputs.score(figures, len(figures))[outputs.metric]
    return Finding(name, score, float(np.std(spread)))
