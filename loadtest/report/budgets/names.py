"""The names in a budget (arms, figures, errors), checked before anything runs. Pure."""

from collections.abc import Collection, Iterable

from loadtest.errors import UsageError
from loadtest.report.budgets.grammar import Budget, Path
from loadtest.results.summary import figure_names
from loadtest.settings.nearest import nearest
from loadtest.settings.strategy import part_names

CODES = range(1000, 5000)


def check(
    budgets: Iterable[Budget],
    arms: Iterable[str],
    baseline_arms: Iterable[str] | None,
    errors: Collection[str] | None = None,
    more: Collection[str] = (),
) -> None:
    """Checks every name in the budgets.

    Args:
        budgets: what is checked.
        arms: of the run.
        baseline_arms: of the baseline; None where there is none.
        errors: the names that an error may have; None: any.
        more: figures that not every run has.

    Raises:
        UsageError: no summary will have an arm, a figure or an error of that name.
    """
    figures = [*figure_names(), *more]
    for budget in budgets:
        if all(path.of_baseline for path in budget.paths()):
            raise UsageError(
                f"budget {budget.text!r}: it is the same whatever is measured; name a figure of this run, "
                "as in managed.error_ratio == 0"
            )
        for path in budget.paths():
            if path.of_baseline and baseline_arms is None:
                raise UsageError(f"budget {budget.text!r}: {path} needs a --baseline RUN")
            known = list((baseline_arms or ()) if path.of_baseline else arms)
            if path.arm not in known:
                raise UsageError(
                    f"budget {budget.text!r}: no arm is called {path.arm!r}{nearest(path.arm, known)}; "
                    f"there are {', '.join(known)}"
                )
            wrong = _wrong_field(path, figures)
            if wrong:
                raise UsageError(f"budget {budget.text!r}: {wrong}")
        wrong = "" if errors is None else unknown_error(budget, errors)
        if wrong:
            raise UsageError(f"budget {budget.text!r}: {wrong}")


def _wrong_field(path: Path, known: Collection[str]) -> str:
    names = path.fields
    if names[0] == "parts":
        parts = part_names(path.arm)
        if not parts:
            return f"{path}: {path.arm} is a single strategy and has no parts"
        if len(names) < 3 or names[1] not in parts:
            return f"{path} names no part of a mixed fleet; the parts of {path.arm} are {', '.join(parts)}"
        names = names[2:]
    elif names[0] == "tags":  # which ones there are, a template says, too
        if len(names) < 3 or "=" not in names[1]:
            return f'{path} names no tag, as in {path.arm}.tags."team=web".error_ratio'
        names = names[2:]
    name = ".".join(names)
    if name not in known and not (names[0] == "errors" and len(names) == 2):
        return f"no figure is called {name!r}{nearest(name, known)}"
    return ""


def unknown_error(budget: Budget, known: Collection[str]) -> str:
    """What is wrong with the first error in a budget that is not ``known``; empty when all are.

    Every run would meet such a budget, since no error ever has that name.
    """
    for path in budget.paths():
        name = path.fields[-1]
        if path.fields[-2:-1] == ("errors",) and name not in known and not _may_be_code(name):
            return (
                f"no error is called {name!r}{nearest(name, known)}; a budget names MySQL's codes by number "
                "or by name, timeout, throttled, unfinished, and Python's exceptions"
            )
    return ""


def _may_be_code(name: str) -> bool:
    """No list of the codes of MySQL and MariaDB is complete; these are the ranges that clients see.

    Source: MySQL 9.7 Reference Manual, "Error Message Sources and Elements".
    """
    return name.isascii() and name.isdigit() and int(name) in CODES
