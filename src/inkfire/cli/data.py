"""``inkfire data``: public data sets that belong to a task."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from inkfire.cli.common import Json, emit

app = App(name="data", help="Public data sets that belong to a task.\n\nExample: inkfire data pull greetings-zh")


@app.command
def pull(
    name: Annotated[str, Parameter(help="The release to fetch: greetings-zh.")],
    /,
    *,
    evaluation: Annotated[bool, Parameter(help="Fetch the texts and pairs to test with as well.")] = False,
    json: Json = False,
) -> None:
    """Download a release into the cache: a pinned commit, every file checked by its SHA-256.

    Example: inkfire data pull greetings-zh --evaluation
    """
    from inkfire.models.release import pull as pull_release
    from inkfire.models.release import release_folder

    result = pull_release(name, release_folder(name), evaluation=evaluation)
    emit(result, as_json=json, show=lambda row: f"{row['about']}\n{row['path']}")
