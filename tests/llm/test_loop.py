from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

from inkfire.llm import loop


async def test_loop_thread_is_refused() -> None:
    async def waits_for_itself() -> None:
        loop.run(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="await"):
        await asyncio.to_thread(loop.run, waits_for_itself())


def test_results_and_errors_come_back() -> None:
    async def fails() -> None:
        raise ValueError("no")

    assert loop.run(asyncio.sleep(0, "yes")) == "yes"
    with pytest.raises(ValueError, match="no"):
        loop.run(fails())


def test_one_loop_for_all_threads() -> None:
    async def where() -> int:
        return id(asyncio.get_running_loop())

    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(loop.run(where()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 1


def test_ctrl_c_cancels_and_cleans_up() -> None:
    cleaned = []

    async def long() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(True)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run(long())
    finally:
        signal.signal(signal.SIGINT, before)
    assert cleaned == [True]
    assert loop.run(asyncio.sleep(0, "still works")) == "still works"


def test_a_forked_child_has_a_loop_of_its_own() -> None:
    code = """
import asyncio, os
from inkfire.llm import loop
loop.run(asyncio.sleep(0))
child = os.fork()
if child == 0:
    os._exit(7 if loop.run(asyncio.sleep(0, 7)) == 7 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_nothing_is_left_at_exit() -> None:
    code = """
import asyncio
from inkfire.llm import loop
async def start():
    asyncio.ensure_future(asyncio.sleep(60))
loop.run(start())
"""
    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
