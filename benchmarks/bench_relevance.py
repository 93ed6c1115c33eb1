"""Does a text answer its own query: likelihood by a frozen base, or an embedding, against foreign texts of the task.

    python benchmarks/bench_relevance.py --base local/qwen2.5-coder-0.5b --embedder local/qwen2.5-coder-0.5b

Every good text of the task stands beside the text of another query in its place (stress/damage: ``foreign``). The base
says how much likelier the text is after its query than after three others; the embedding how much nearer (cosine) the
text is to its query than to the same three. AUC with bootstrap intervals clustered by query, and the share whose own
query wins among the four. Peer: the share of the query that the text has (words; characters in Chinese).
"""

from __future__ import annotations

import argparse

from inkfire.llm import loop
from inkfire.models.likelihood import Likelihood
from inkfire.models.open import open_embedder
from inkfire.rewards import reading
from inkfire.runs.damage import good_texts
from inkfire.stats.intervals import bootstrap_auc
from inkfire.stats.texts import units
from inkfire.stress.damage import beside_damaged
from inkfire.tasks.task import load_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", default=["greetings-zh", "greetings-en"])
    parser.add_argument("--base", default="local/qwen2.5-coder-0.5b")
    parser.add_argument("--embedder", default="local/qwen2.5-coder-0.5b")
    parser.add_argument("--texts", type=int, default=60)
    args = parser.parse_args()
    print("| task | signal | AUC, own against foreign | own query wins of four, own | foreign |")
    print("|---|---|---|---|---|")
    for name in args.task:
        task = load_task(name)
        pool = [query.query for query in task.queries()]
        pairs = beside_damaged("foreign", good_texts(task.labelled()), seed=0)[: args.texts]
        texts = [text for pair in pairs for text in pair]
        queries, responses = [text.query for text in texts], [text.response for text in texts]
        asked = [[q, *reading.others(q, r, pool, 0)] for q, r in zip(queries, responses, strict=True)]
        flat = [(query, text) for four, text in zip(asked, responses, strict=True) for query in four]
        reader = Likelihood.load(args.base, task)
        likely = reader.per_token([q for q, _ in flat], [t for _, t in flat])
        reader.close()
        embedder = open_embedder(args.embedder, ledger=None)
        words = list(dict.fromkeys([text for both in flat for text in both]))
        vectors = dict(zip(words, loop.run(embedder.embed(words)), strict=True))
        near = [float(vectors[q] @ vectors[t]) for q, t in flat]
        shared = [len(set(units(q)) & set(units(t))) / max(1, len(set(units(q)))) for q, t in flat]
        for signal, values in (("likelihood", likely), ("embedding", near), ("shared words", shared)):
            of = [[value or 0.0 for value in values[i : i + 4]] for i in range(0, len(flat), 4)]
            gained = [four[0] - sum(four[1:]) / 3 for four in of]
            auc = bootstrap_auc([1, 0] * len(pairs), gained, clusters=queries, seed=0)
            wins = [four[0] > max(four[1:]) for four in of]
            own, foreign = (sum(wins[start::2]) / len(pairs) for start in (0, 1))
            seen = f"{auc.estimate:.2f} [{auc.low:.2f}, {auc.high:.2f}]"
            print(f"| {name} | {signal} | {seen} | {own:.0%} | {foreign:.0%} |", flush=True)


if __name__ == "__main__":
    main()
