"""What goes through a model at once, by what fits."""

import pytest

from inkfire.training.fit import Example, Fit, Shape, equal_part, fit, needed

QWEN = Shape(layers=24, hidden=896, inner=4864, vocabulary=151_936)
SHORT = Example(tokens=200, logits=96)
GB = 10**9


@pytest.mark.parametrize(
    ("batch", "most", "example", "free", "found"),
    [
        (128, None, SHORT, None, Fit(128, False)),  # a CPU
        (10, 4, SHORT, None, Fit(2, False)),
        (128, None, SHORT, 130 * GB, Fit(128, False)),
        (128, 16, SHORT, 130 * GB, Fit(16, False)),
        (128, None, SHORT, 20 * GB, Fit(32, False)),  # parts before computing twice
        (128, 128, SHORT, 20 * GB, Fit(128, True)),  # what is asked for is not made smaller
        (128, None, Example(tokens=1000, logits=500), 3 * GB, Fit(2, True)),  # one text alone leaves a card idle
        (16, None, SHORT, 1, Fit(1, True)),  # nothing fits: the least that can be tried
    ],
)
def test_the_whole_batch_then_parts_then_computing_twice(
    batch: int, most: int | None, example: Example, free: int | None, found: Fit
) -> None:
    assert fit(batch, most, example, QWEN, free) == found


def test_what_is_chosen_fits_and_is_the_largest_that_does() -> None:
    for free in range(2 * GB, 80 * GB, GB):
        how = fit(128, None, SHORT, QWEN, free)
        assert needed(how.micro, SHORT, QWEN, checkpointing=how.checkpointing) <= 0.8 * free
        if how.micro < 128:
            more = needed(2 * how.micro, SHORT, QWEN, checkpointing=how.checkpointing)
            assert more > 0.8 * free


def test_computing_twice_spares_layers_and_not_logits() -> None:
    many, none = Example(tokens=200, logits=200), Example(tokens=200, logits=0)
    kept = [needed(8, many, QWEN, checkpointing=c) - needed(8, none, QWEN, checkpointing=c) for c in (True, False)]
    assert kept[0] == kept[1] == 8 * 200 * 151_936 * 12
    assert needed(8, none, QWEN, checkpointing=True) * 10 < needed(8, none, QWEN, checkpointing=False)


@pytest.mark.parametrize(("batch", "most", "part"), [(10, 4, 2), (12, 8, 6), (8, 8, 8), (7, 4, 1), (4, 100, 4)])
def test_parts_are_equal(batch: int, most: int, part: int) -> None:
    assert equal_part(batch, most) == part
