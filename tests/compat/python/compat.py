"""The compatibility scenarios (see ../README.md) with the official Python client.

The scenarios mostly wait, so all of them run at once, each on its own topic and group.
"""

import os
import random
import sys
import threading
import time
import traceback

from rocketmq import (
    ClientConfiguration,
    ConsumeResult,
    Credentials,
    FilterExpression,
    Message,
    MessageListener,
    Producer,
    PushConsumer,
    SimpleConsumer,
)
from rocketmq.grpc_protocol import Code

ENDPOINT = os.environ["COMPAT_ENDPOINT"]
NAMES = os.environ["COMPAT_NAMES"]
APACHE = os.environ.get("COMPAT_PEER") == "apache"

# All times in seconds. SHORTEST: the shortest invisible duration that ReceiveMessage accepts.
SHORTEST = 10
LONG = 60
AWAIT = 5
# How long a scenario waits for something that must happen.
PATIENCE = 90

lock = threading.Lock()


def send_and_receive():
    with consumer("basic") as reader:
        large = random.Random(1).randbytes(1 << 20)
        sent = {}
        for i in range(20):
            message = plain("basic", large if i == 0 else b"message %d" % i)
            message.tag = "blue"
            message.keys = f"key-{i}"  # the setter adds
            message.keys = "second"
            message.add_property("colour", f"blüe {i}")
            sent[shared.send(message).message_id] = message.body
        assert len(sent) == 20, "message ids repeat"
        for view in receive(reader, 20):
            body = sent.pop(view.message_id, None)
            assert body is not None, f"a message id that was not sent, or twice: {view.message_id}"
            assert body == view.body and not view.corrupted, "the body differs"
            assert view.topic == topic("basic"), f"topic {view.topic}"
            assert view.tag == "blue", f"tag {view.tag}"
            assert len(view.keys) == 2 and "second" in view.keys, f"keys {view.keys}"
            assert list(view.properties) == ["colour"], f"properties {view.properties}"
            assert view.properties["colour"].startswith("blüe "), f"properties {view.properties}"
            assert view.delivery_attempt == 1, f"attempt {view.delivery_attempt}"
            assert view.born_host and view.born_timestamp, "born host or time missing"
            reader.ack(view)


def ack():
    with consumer("ack") as reader:
        send("ack", 10)
        for view in receive(reader, 10, SHORTEST):
            reader.ack(view)
        silence(reader, SHORTEST + 5)


def nack():
    with consumer("nack") as reader:
        (sent,) = send("nack", 1)
        for attempt in (1, 2, 3):
            view = receive_attempt(reader, sent, attempt)
            if attempt < 3:
                reader.change_invisible_duration(view, 1)
            else:
                reader.ack(view)
        silence(reader, AWAIT)


def dead_letter():
    with consumer("dlq") as reader:
        (sent,) = send("dlq", 1)
        for attempt in (1, 2):
            reader.change_invisible_duration(receive_attempt(reader, sent, attempt), 1)
        check_dead_letter("dlq", sent, lambda: silence(reader, AWAIT))


def tag_filter():
    # "Aa" and "BB" have the same Java hash code: the text must be compared too.
    with consumer("tag", FilterExpression("Aa || green")) as reader:
        wanted = set()
        for _ in range(4):
            for tag in ("Aa", "BB", "green", "red", None):
                message = plain("tag", b"x")
                if tag:
                    message.tag = tag
                message_id = shared.send(message).message_id
                if tag in ("Aa", "green"):
                    wanted.add(message_id)
        for view in receive(reader, 8):
            assert view.message_id in wanted, f"not wanted, or twice: tag {view.tag}"
            wanted.remove(view.message_id)
            reader.ack(view)
        silence(reader, AWAIT)


def push():
    seen = []

    def consume(view):
        with lock:
            seen.append(view.message_id)
        return ConsumeResult.SUCCESS

    with push_consumer("push", consume):
        sent = send("push", 60)
        wait("60 messages", lambda: len(seen) >= 60)
        time.sleep(2)
        assert sorted(seen) == sorted(sent), f"received {len(seen)}, and not the 60 that were sent"


def push_retry():
    attempts = []

    def consume(view):
        with lock:
            attempts.append(view.delivery_attempt)
        return ConsumeResult.FAILURE if view.delivery_attempt < 3 else ConsumeResult.SUCCESS

    with push_consumer("pushretry", consume):
        send("pushretry", 1)
        wait("three attempts", lambda: len(attempts) >= 3)
        assert attempts == [1, 2, 3], f"attempts {attempts}"


def push_dead_letter():
    attempts = []

    def consume(view):
        with lock:
            attempts.append(view.delivery_attempt)
        return ConsumeResult.FAILURE

    with push_consumer("pushdlq", consume):
        (sent,) = send("pushdlq", 1)
        check_dead_letter("pushdlq", sent, lambda: time.sleep(1))
        assert len(attempts) == 2, f"delivered {len(attempts)} times instead of 2"


def shared_group():
    total = 200
    seen = []
    shares = [0, 0]
    failures = []
    deadline = time.monotonic() + PATIENCE

    def share(index, reader):
        try:
            while len(seen) < total and time.monotonic() < deadline:
                for view in receive_once(reader, 4, LONG):
                    with lock:
                        seen.append(view.message_id)
                    shares[index] += 1
                    reader.ack(view)
        except Exception as e:
            failures.append(e)

    with consumer("shared") as first, consumer("shared") as second:
        threads = [threading.Thread(target=share, args=pair) for pair in enumerate((first, second))]
        for thread in threads:
            thread.start()
        sent = send("shared", total)
        for thread in threads:
            thread.join()
        assert not failures, f"{failures}"
        assert sorted(seen) == sorted(sent), f"received {len(seen)}, {len(set(seen))} different"
        assert all(shares), f"shares {shares}"
        silence(first, 1)
        silence(second, 1)


def unknown_topic():
    # Start-up of this client's producer only logs a failed route query; the first send raises.
    with producer(topic("never-created")) as own:
        refused("failed to fetch topic", lambda: own.send(plain("never-created", b"x")))


def illegal_topic():
    refused("does not match the regex", lambda: setattr(Message(), "topic", "c.with.dots"))
    with producer("TBW102") as own:
        message = plain("basic", b"x")
        message.topic = "TBW102"
        refused("failed to fetch topic", lambda: own.send(message))


def body_too_large():
    with producer(topic("errors")) as own:
        own.send(plain("errors", bytes(4 << 20)))
        # This client compares with max_body_size of the negotiated settings before it sends.
        refused("exceeds", lambda: own.send(plain("errors", bytes((4 << 20) + 1))))


def second_ack():
    with consumer("doubleack") as reader:
        (sent,) = send("doubleack", 1)
        view = receive_attempt(reader, sent, 1)
        reader.ack(view)
        reader.ack(view)


def expired_handle():
    with consumer("expired") as reader:
        (sent,) = send("expired", 1)
        view = receive_attempt(reader, sent, 1, SHORTEST)
        time.sleep(SHORTEST + 1)
        # A failed change clears the handle of the view, so the ack comes first.
        refused(Code.INVALID_RECEIPT_HANDLE, lambda: reader.ack(view))
        refused(Code.INVALID_RECEIPT_HANDLE, lambda: reader.change_invisible_duration(view, LONG))
        reader.ack(receive_attempt(reader, sent, 2))


def undecodable_handle():
    # Apache RocketMQ answers INTERNAL_SERVER_ERROR here, which tells a client to try again for ever.
    code = Code.INTERNAL_SERVER_ERROR if APACHE else Code.INVALID_RECEIPT_HANDLE
    with consumer("junk") as reader:
        (sent,) = send("junk", 1)
        view = receive_attempt(reader, sent, 1)
        good = view.receipt_handle
        view.receipt_handle = "junk"
        refused(code, lambda: reader.ack(view))
        refused(code, lambda: reader.change_invisible_duration(view, LONG))
        view.receipt_handle = good
        reader.ack(view)


def superseded_handle():
    with consumer("superseded") as reader:
        (sent,) = send("superseded", 1)
        view = receive_attempt(reader, sent, 1)
        old = view.receipt_handle
        reader.change_invisible_duration(view, SHORTEST)
        assert view.receipt_handle != old, "the handle did not change"
        view.receipt_handle = old
        reader.ack(view)
        if not APACHE:  # there such an ack is answered OK and then forgotten
            silence(reader, SHORTEST + 5)


def check_dead_letter(name, sent, between):
    """Waits for the letter with this id in the dead-letter topic of the scenario's group."""
    letters = "%DLQ%" + group(name)
    deadline = time.monotonic() + PATIENCE
    with subscriber(letters, group(name + "-reader"), FilterExpression()) as reader:
        found = []
        while not found:
            assert time.monotonic() < deadline, "no dead letter"
            between()
            try:
                found = receive_once(reader, 16, LONG)
            except Exception as e:  # Apache RocketMQ knows the topic only from its first letter on
                assert APACHE and "failed to fetch topic" in str(e), f"{e}"
        assert [letter.message_id for letter in found] == [sent], "other messages in the topic"
        assert found[0].body == b"message 0", "another body in the dead-letter topic"
        reader.ack(found[0])
        silence(reader, 1)
        between()


class Running:
    """Starts a client on entry and shuts it down on exit."""

    def __init__(self, client):
        self.client = client

    def __enter__(self):
        self.client.startup()
        return self.client

    def __exit__(self, *_):
        self.client.shutdown()


def configuration():
    return ClientConfiguration(ENDPOINT, Credentials(), request_timeout=10)


def producer(*topics):
    return Running(Producer(configuration(), topics, tls_enable=False))


def consumer(name, expression=None):
    return subscriber(topic(name), group(name), expression or FilterExpression())


def subscriber(to, as_group, expression):
    return Running(SimpleConsumer(configuration(), as_group, {to: expression}, AWAIT, tls_enable=False))


def push_consumer(name, consume):
    class Listener(MessageListener):
        def consume(self, message):
            return consume(message)

    subscription = {topic(name): FilterExpression()}
    return Running(
        PushConsumer(
            configuration(), group(name), Listener(), subscription, consumption_thread_count=4, tls_enable=False
        )
    )


def plain(name, body):
    message = Message()
    message.topic = topic(name)
    message.body = body
    return message


def send(name, count):
    return [shared.send(plain(name, b"message %d" % i)).message_id for i in range(count)]


def receive_once(reader, count, invisible):
    """One long poll. This client does not wait for the answer to its settings before it receives; that
    must be served. Apache RocketMQ answers INTERNAL_SERVER_ERROR, after a NullPointerException."""
    while True:
        try:
            return reader.receive(count, invisible)
        except Exception as e:
            if not (APACHE and '"settings" is null' in str(e)):
                raise
            time.sleep(0.1)


def receive(reader, count, invisible=LONG):
    views = []
    deadline = time.monotonic() + PATIENCE
    while len(views) < count and time.monotonic() < deadline:
        views += receive_once(reader, 16, invisible)
    assert len(views) == count, f"received {len(views)} instead of {count}"
    return views


def receive_attempt(reader, sent, attempt, invisible=LONG):
    (view,) = receive(reader, 1, invisible)
    assert view.message_id == sent, "another message"
    assert view.delivery_attempt == attempt, f"attempt {view.delivery_attempt} instead of {attempt}"
    return view


def silence(reader, seconds):
    """Fails if anything is delivered within this time."""
    end = time.monotonic() + seconds
    while True:
        for view in receive_once(reader, 16, LONG):
            raise AssertionError(f"delivered again, attempt {view.delivery_attempt}")
        if time.monotonic() >= end:
            return


def wait(what, holds):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.05)


def refused(why, action):
    """why: a code that the server answers, or words of a refusal that the client makes by itself."""
    try:
        action()
    except Exception as e:
        matches = why in str(e) if isinstance(why, str) else getattr(e, "code", None) == why
        assert matches, f"refused with {type(e).__name__} {e} instead of {why}"
        return
    raise AssertionError("not refused")


def topic(name):
    return f"{NAMES}-{name}"


def group(name):
    return f"{NAMES}-{name}-g"


SCENARIOS = (
    send_and_receive, ack, nack, dead_letter, tag_filter, push, push_retry, push_dead_letter, shared_group,
    unknown_topic, illegal_topic, body_too_large, second_ack, expired_handle, undecodable_handle,
    superseded_handle,
)  # fmt: skip


def attempt_scenario(scenario, outcomes):
    try:
        scenario()
        line = f"ok {scenario.__name__}"
    except BaseException as e:
        traceback.print_exc()
        line = f"FAIL {scenario.__name__}: {type(e).__name__} {' '.join(str(e).split())}"
    with lock:
        outcomes.append(line.startswith("ok"))
        print(line, flush=True)


with producer(topic("basic")) as shared:
    results = []
    runners = [threading.Thread(target=attempt_scenario, args=(s, results)) for s in SCENARIOS]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
sys.stdout.flush()
# Not sys.exit: threads that the client leaves behind would hold the process.
os._exit(0 if all(results) else 1)
