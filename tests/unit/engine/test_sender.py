"""Orders are sent from one other thread, in order."""

import threading
from queue import SimpleQueue

from plait.engine.sender import Sender

WAIT = 5.0


def sending() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "plait-send"]


def test_without_orders_there_is_no_thread(nothing_left):
    sender = Sender(print)
    assert sending() == []
    sender.close()


def test_orders_are_sent_in_order_by_one_other_thread(nothing_left):
    sent: SimpleQueue = SimpleQueue()
    sender = Sender(lambda post, chunk: sent.put((post, chunk, threading.current_thread().name)))
    for chunk in range(3):
        sender.put("post", chunk)
    assert [sent.get(timeout=WAIT) for _ in range(3)] == [("post", chunk, "plait-send") for chunk in range(3)]
    sender.close()


def test_who_orders_does_not_wait(nothing_left):
    go, sent = threading.Event(), []
    sender = Sender(lambda order: (go.wait(WAIT), sent.append(order)))
    sender.put(1)
    sender.put(2)
    assert sent == []
    go.set()
    sender.close()
    assert sent == [1, 2], "what was put before the end is sent"


def test_it_may_be_closed_from_its_own_thread(nothing_left):
    closed = threading.Event()

    def send(order):
        sender.close()
        closed.set()

    sender = Sender(send)
    sender.put(1)
    assert closed.wait(WAIT)
