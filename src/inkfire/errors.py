"""Every exception inkfire raises on purpose.

InkfireError                     something the user can act on; the CLI prints it without a traceback
├── InputError          exit 2   the user's input is wrong
│   ├── DataError                a data file: names the file and line
│   ├── RecipeError              a recipe: names the file and key
│   ├── TaskError                a task folder or an unknown task
│   ├── ModelNameError           an unknown model name or unusable weights
│   ├── RunFolderError           a run folder that belongs to another command or recipe
│   ├── MissingExtraError        an optional dependency that is not installed
│   └── RefusedReward            a reward that measurement says must not be one
├── BudgetExceeded      exit 3   the spend limit was reached; the run resumes with a higher one
├── EndpointDown        exit 4   the model endpoint kept failing or refuses us; the run resumes
└── ModelCallError               ONE model call failed for good; callers record it as data (`unscored`)

A message says what is wrong, where, and what to change. ``ModelCallError`` is the only one that code
between a model and the command line may catch: it becomes a counted failure, never a zero.
"""

from __future__ import annotations

from pathlib import Path


class InkfireError(Exception):
    """Base of the tree. ``exit_code`` is what the command line exits with."""

    exit_code = 1


class InputError(InkfireError):
    exit_code = 2


class DataError(InputError):
    """A record that cannot be read.

    Args:
        message: what is wrong and how to fix it.
        path: the file.
        line: 1-based line (or row) of the bad record, when there is one.
    """

    def __init__(self, message: str, *, path: str | Path | None = None, line: int | None = None):
        self.path = path
        self.line = line
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + message)


class RecipeError(InputError):
    pass


class TaskError(InputError):
    pass


class ModelNameError(InputError):
    pass


class RunFolderError(InputError):
    pass


class MissingExtraError(InputError):
    """An optional dependency is absent; the message carries the command that installs it."""

    def __init__(self, module: str, extra: str):
        self.module = module
        self.extra = extra
        super().__init__(f"this needs {module!r}, which is not installed; run: pip install 'inkfire[{extra}]'")


class RefusedReward(InputError):
    TAKEN_WITH = "score, probe, train and serve take it with --force"  # how the refusal of a judge ends


class BudgetExceeded(InkfireError):
    exit_code = 3


class EndpointDown(InkfireError):
    exit_code = 4


class ModelCallError(InkfireError):
    exit_code = 4
