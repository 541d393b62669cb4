// The compatibility scenarios (see ../README.md) with the official Node client.
//
// The scenarios mostly wait, so all of them run at once, each on its own topic and group.
'use strict';

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');
const { ConsumeResult, Producer, PushConsumer, SimpleConsumer } = require('rocketmq-client-nodejs');

const endpoints = process.env.COMPAT_ENDPOINT;
const names = process.env.COMPAT_NAMES;
const apache = process.env.COMPAT_PEER === 'apache';

// All times in milliseconds. shortest: the shortest invisible duration that ReceiveMessage accepts.
const shortest = 10_000;
const long = 60_000;
const awaitDuration = 5_000;
// How long a scenario waits for something that must happen.
const patience = 90_000;

// Codes of apache.rocketmq.v2.Code.
const ILLEGAL_TOPIC = 40002;
const INVALID_RECEIPT_HANDLE = 40013;
const TOPIC_NOT_FOUND = 40402;
const INTERNAL_SERVER_ERROR = 50001;

// The client's own default logger is shared by all clients of the process and closed by the first shutdown.
const log = (level) => (...args) => process.env.COMPAT_LOG && console.error(level, ...args);
const logger = { info: log('info'), warn: log('warn'), error: log('error') };

let shared;

const scenarios = {
  async send_and_receive() {
    const consumer = await simpleConsumer('basic');
    const sent = new Map();
    for (let i = 0; i < 20; i++) {
      const body = i === 0 ? randomBytes(1 << 20) : Buffer.from(`message ${i}`);
      const properties = new Map([['colour', `blüe ${i}`]]);
      const keys = [`key-${i}`, 'second'];
      const receipt = await shared.send({ topic: topic('basic'), body, tag: 'blue', keys, properties });
      sent.set(receipt.messageId, body);
    }
    assert.equal(sent.size, 20, 'message ids repeat');
    for (const view of await receive(consumer, 20)) {
      assert(sent.has(view.messageId), `a message id that was not sent, or twice: ${view.messageId}`);
      assert(sent.get(view.messageId).equals(view.body) && !view.corrupted, 'the body differs');
      sent.delete(view.messageId);
      assert.equal(view.topic, topic('basic'));
      assert.equal(view.tag, 'blue');
      assert(view.keys.length === 2 && view.keys.includes('second'), `keys ${view.keys}`);
      assert.deepEqual([...view.properties.keys()], ['colour']);
      assert(view.properties.get('colour').startsWith('blüe '), 'the property differs');
      assert.equal(view.deliveryAttempt, 1);
      assert(view.bornHost && view.bornTimestamp, 'born host or time missing');
      await consumer.ack(view);
    }
    await consumer.shutdown();
  },

  async ack() {
    const consumer = await simpleConsumer('ack');
    await send('ack', 10);
    for (const view of await receive(consumer, 10, shortest)) await consumer.ack(view);
    await silence(consumer, shortest + 5_000);
    await consumer.shutdown();
  },

  async nack() {
    const consumer = await simpleConsumer('nack');
    const [id] = await send('nack', 1);
    for (const attempt of [1, 2, 3]) {
      const view = await receiveAttempt(consumer, id, attempt);
      if (attempt < 3) await consumer.changeInvisibleDuration(view, 1_000);
      else await consumer.ack(view);
    }
    await silence(consumer, awaitDuration);
    await consumer.shutdown();
  },

  async dead_letter() {
    const consumer = await simpleConsumer('dlq');
    const [id] = await send('dlq', 1);
    for (const attempt of [1, 2]) {
      await consumer.changeInvisibleDuration(await receiveAttempt(consumer, id, attempt), 1_000);
    }
    await checkDeadLetter('dlq', id, () => silence(consumer, awaitDuration));
    await consumer.shutdown();
  },

  async tag_filter() {
    // "Aa" and "BB" have the same Java hash code: the text must be compared too.
    const consumer = await simpleConsumer('tag', 'Aa || green');
    const wanted = new Set();
    for (let i = 0; i < 4; i++) {
      for (const tag of ['Aa', 'BB', 'green', 'red', undefined]) {
        const { messageId } = await shared.send({ topic: topic('tag'), body: Buffer.from('x'), tag });
        if (tag === 'Aa' || tag === 'green') wanted.add(messageId);
      }
    }
    for (const view of await receive(consumer, 8)) {
      assert(wanted.delete(view.messageId), `not wanted, or twice: tag ${view.tag}`);
      await consumer.ack(view);
    }
    await silence(consumer, awaitDuration);
    await consumer.shutdown();
  },

  async push() {
    const seen = [];
    const consumer = await pushConsumer('push', (view) => {
      seen.push(view.messageId);
      return ConsumeResult.SUCCESS;
    });
    const sent = await send('push', 60);
    await until('60 messages', () => seen.length >= 60);
    await sleep(2_000);
    assert.deepEqual(seen.sort(), sent.sort());
    await consumer.shutdown();
  },

  async push_retry() {
    const attempts = [];
    const consumer = await pushConsumer('pushretry', (view) => {
      attempts.push(view.deliveryAttempt);
      return view.deliveryAttempt < 3 ? ConsumeResult.FAILURE : ConsumeResult.SUCCESS;
    });
    await send('pushretry', 1);
    await until('three attempts', () => attempts.length >= 3);
    assert.deepEqual(attempts, [1, 2, 3]);
    await consumer.shutdown();
  },

  async push_dead_letter() {
    let attempts = 0;
    const consumer = await pushConsumer('pushdlq', () => {
      attempts++;
      return ConsumeResult.FAILURE;
    });
    const [id] = await send('pushdlq', 1);
    await checkDeadLetter('pushdlq', id, () => sleep(1_000));
    assert.equal(attempts, 2, `delivered ${attempts} times instead of 2`);
    await consumer.shutdown();
  },

  async shared_group() {
    const total = 200;
    const seen = [];
    const deadline = Date.now() + patience;
    const consumers = [await simpleConsumer('shared'), await simpleConsumer('shared')];
    const share = async (consumer) => {
      let mine = 0;
      while (seen.length < total && Date.now() < deadline) {
        for (const view of await consumer.receive(4, long)) {
          seen.push(view.messageId);
          mine++;
          await consumer.ack(view);
        }
      }
      return mine;
    };
    const [sent, ...shares] = await Promise.all([send('shared', total), ...consumers.map(share)]);
    assert.equal(seen.length, total, `received ${seen.length}`);
    assert.deepEqual(seen.sort(), sent.sort());
    assert(shares.every((n) => n > 0), `shares ${shares}`);
    for (const consumer of consumers) {
      await silence(consumer, 1_000);
      await consumer.shutdown();
    }
  },

  async unknown_topic() {
    await refused(TOPIC_NOT_FOUND, () => producer(topic('never-created')));
  },

  async illegal_topic() {
    await refused(ILLEGAL_TOPIC, () => producer('c.with.dots'));
    await refused(ILLEGAL_TOPIC, () => producer('TBW102'));
  },

  async body_too_large() {
    const own = await producer(topic('errors'));
    await own.send({ topic: topic('errors'), body: Buffer.alloc(4 << 20) });
    // This client compares with max_body_size of the negotiated settings before it sends.
    const over = { topic: topic('errors'), body: Buffer.alloc((4 << 20) + 1) };
    await assert.rejects(own.send(over), /exceeds the threshold, max size=4194304/);
    await own.shutdown();
  },

  async second_ack() {
    const consumer = await simpleConsumer('doubleack');
    const [id] = await send('doubleack', 1);
    const view = await receiveAttempt(consumer, id, 1);
    await consumer.ack(view);
    await consumer.ack(view);
    await consumer.shutdown();
  },

  async expired_handle() {
    const consumer = await simpleConsumer('expired');
    const [id] = await send('expired', 1);
    const view = await receiveAttempt(consumer, id, 1, shortest);
    await sleep(shortest + 1_000);
    await refused(INVALID_RECEIPT_HANDLE, () => consumer.ack(view));
    await refused(INVALID_RECEIPT_HANDLE, () => consumer.changeInvisibleDuration(view, long));
    await consumer.ack(await receiveAttempt(consumer, id, 2));
    await consumer.shutdown();
  },

  async undecodable_handle() {
    // Apache RocketMQ answers INTERNAL_SERVER_ERROR here, which tells a client to try again for ever.
    const code = apache ? INTERNAL_SERVER_ERROR : INVALID_RECEIPT_HANDLE;
    const consumer = await simpleConsumer('junk');
    const [id] = await send('junk', 1);
    const view = await receiveAttempt(consumer, id, 1);
    const good = view.receiptHandle;
    view.receiptHandle = 'junk';
    await refused(code, () => consumer.ack(view));
    await refused(code, () => consumer.changeInvisibleDuration(view, long));
    view.receiptHandle = good;
    await consumer.ack(view);
    await consumer.shutdown();
  },

  async superseded_handle() {
    const consumer = await simpleConsumer('superseded');
    const [id] = await send('superseded', 1);
    const view = await receiveAttempt(consumer, id, 1);
    const old = view.receiptHandle;
    await consumer.changeInvisibleDuration(view, shortest);
    assert.notEqual(view.receiptHandle, old, 'the handle did not change');
    view.receiptHandle = old;
    await consumer.ack(view);
    // On Apache RocketMQ such an ack is answered OK and then forgotten.
    if (!apache) await silence(consumer, shortest + 5_000);
    await consumer.shutdown();
  },
};

/** Waits for the letter with this id in the dead-letter topic of the scenario's group. */
async function checkDeadLetter(name, id, between) {
  const deadline = Date.now() + patience;
  for (;;) {
    await between();
    assert(Date.now() < deadline, 'no dead letter');
    let reader;
    try {
      reader = await subscriber(`%DLQ%${group(name)}`, group(`${name}-reader`), '*');
    } catch (e) {
      // Apache RocketMQ knows the topic only from its first letter on.
      assert.equal(codeOf(e), TOPIC_NOT_FOUND);
      continue;
    }
    const letter = await receiveAny(reader);
    assert.equal(letter.messageId, id, 'another message in the dead-letter topic');
    assert.equal(letter.body.toString(), 'message 0', 'another body in the dead-letter topic');
    await reader.ack(letter);
    await silence(reader, 1_000);
    await reader.shutdown();
    await between();
    return;
  }
}

function options() {
  return { endpoints, namespace: '', sslEnabled: false, requestTimeout: 10_000, logger };
}

async function started(client) {
  await client.startup();
  return client;
}

function producer(...topics) {
  return started(new Producer({ ...options(), topics }));
}

function simpleConsumer(name, expression = '*') {
  return subscriber(topic(name), group(name), expression);
}

function subscriber(to, consumerGroup, expression) {
  const subscriptions = new Map([[to, expression]]);
  return started(new SimpleConsumer({ ...options(), awaitDuration, consumerGroup, subscriptions }));
}

function pushConsumer(name, consume) {
  const subscriptions = new Map([[topic(name), '*']]);
  const messageListener = { consume };
  return started(new PushConsumer({ ...options(), consumerGroup: group(name), subscriptions, messageListener }));
}

async function send(name, count) {
  const ids = [];
  for (let i = 0; i < count; i++) {
    const receipt = await shared.send({ topic: topic(name), body: Buffer.from(`message ${i}`) });
    ids.push(receipt.messageId);
  }
  return ids;
}

async function receive(consumer, count, invisible = long) {
  const views = [];
  const deadline = Date.now() + patience;
  while (views.length < count && Date.now() < deadline) views.push(...await consumer.receive(16, invisible));
  assert.equal(views.length, count, `received ${views.length} instead of ${count}`);
  return views;
}

async function receiveAny(consumer) {
  return (await receive(consumer, 1))[0];
}

async function receiveAttempt(consumer, id, attempt, invisible = long) {
  const [view] = await receive(consumer, 1, invisible);
  assert.equal(view.messageId, id, 'another message');
  assert.equal(view.deliveryAttempt, attempt, `attempt ${view.deliveryAttempt} instead of ${attempt}`);
  return view;
}

/** Fails if anything is delivered within this time. */
async function silence(consumer, time) {
  const end = Date.now() + time;
  do {
    const views = await consumer.receive(16, long);
    assert.equal(views.length, 0, `delivered again, attempt ${views[0]?.deliveryAttempt}`);
  } while (Date.now() < end);
}

async function until(what, holds) {
  const deadline = Date.now() + patience;
  while (!holds()) {
    assert(Date.now() < deadline, `${what} did not happen`);
    await sleep(50);
  }
}

/** A failed start wraps the server's answer in other errors. */
function codeOf(error) {
  for (let e = error; e; e = e.cause) if (e.code) return e.code;
  return undefined;
}

async function refused(code, action) {
  const outcome = await action().then(() => undefined, (e) => e);
  assert(outcome, 'not refused');
  assert.equal(codeOf(outcome), code, `refused with ${outcome} instead of ${code}`);
}

function topic(name) {
  return `${names}-${name}`;
}

function group(name) {
  return `${names}-${name}-g`;
}

async function attempt(name, scenario) {
  try {
    await scenario();
    console.log(`ok ${name}`);
    return true;
  } catch (e) {
    console.error(e);
    console.log(`FAIL ${name}: ${String(e.message).replace(/\s+/g, ' ')}`);
    return false;
  }
}

async function main() {
  shared = await producer(topic('basic'));
  const outcomes = await Promise.all(Object.entries(scenarios).map(([name, run]) => attempt(name, run)));
  await shared.shutdown();
  return outcomes.every(Boolean);
}

// process.exit: clients that did not start keep their timers.
main().then((good) => process.exit(good ? 0 : 1), (e) => {
  console.error(e);
  console.log(`FAIL start: ${String(e.message).replace(/\s+/g, ' ')}`);
  process.exit(1);
});
