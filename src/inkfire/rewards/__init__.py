"""One signature, many sources: ``score(queries, responses) -> list[float | None]``."""
