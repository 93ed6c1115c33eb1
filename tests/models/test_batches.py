import random

from inkfire.models.batches import by_length


def test_every_text_once_and_no_batch_too_large() -> None:
    draw = random.Random(0)
    sizes = [draw.randint(1, 90) for _ in range(200)] + [500]
    batches = list(by_length(sizes, tokens=300))
    assert sorted(i for batch in batches for i in batch) == list(range(201))
    assert all(len(batch) * max(sizes[i] for i in batch) <= 300 for batch in batches[:-1])
    assert batches[-1] == [200]
    assert sum(len(batch) * max(sizes[i] for i in batch) for batch in batches) < 1.15 * sum(sizes)
    assert list(by_length([])) == []
