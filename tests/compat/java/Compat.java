import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.MessageListener;
import org.apache.rocketmq.client.apis.consumer.PushConsumer;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.Message;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.apis.producer.SendReceipt;
import org.apache.rocketmq.client.java.message.MessageViewImpl;

/**
 * The compatibility scenarios (see ../README.md) with the official Java gRPC client.
 *
 * <p>The scenarios mostly wait, so all of them run at once, each on its own topic and group.
 */
public final class Compat {
  static final String ENDPOINT = System.getenv("COMPAT_ENDPOINT");
  static final String NAMES = System.getenv("COMPAT_NAMES");
  static final boolean APACHE = "apache".equals(System.getenv("COMPAT_PEER"));
  static final ClientServiceProvider PROVIDER = ClientServiceProvider.loadService();
  static final ClientConfiguration CONFIGURATION = configuration();

  /** The shortest invisible duration that ReceiveMessage accepts. */
  static final Duration SHORTEST = Duration.ofSeconds(10);
  static final Duration LONG = Duration.ofSeconds(60);
  static final Duration AWAIT = Duration.ofSeconds(5);
  /** How long a scenario waits for something that must happen. */
  static final Duration PATIENCE = Duration.ofSeconds(90);

  // Codes of apache.rocketmq.v2.Code, as this client prints them.
  static final String ILLEGAL_TOPIC = "response-code=40002";
  static final String INVALID_RECEIPT_HANDLE = "response-code=40013";
  static final String TOPIC_NOT_FOUND = "response-code=40402";
  static final String INTERNAL_SERVER_ERROR = "response-code=50001";
  /** Refusals that this client makes by itself, before it asks the server. */
  static final String BAD_TOPIC_NAME = "topic does not match the regex";
  static final String BODY_OVER_NEGOTIATED_SIZE = "exceeds the threshold, max size=4194304";

  static Producer producer;

  /** TLS is this client's default, trusting any certificate; COMPAT_TLS=off is the plaintext pass. */
  static ClientConfiguration configuration() {
    var builder = ClientConfiguration.newBuilder().setEndpoints(ENDPOINT);
    if ("off".equals(System.getenv("COMPAT_TLS"))) {
      builder.enableSsl(false);
    }
    return builder.setRequestTimeout(Duration.ofSeconds(10)).build();
  }

  public static void main(String[] args) throws Exception {
    producer = producer(topic("basic"));
    Map<String, Scenario> scenarios = new LinkedHashMap<>();
    scenarios.put("send_and_receive", Compat::sendAndReceive);
    scenarios.put("ack", Compat::ack);
    scenarios.put("nack", Compat::nack);
    scenarios.put("dead_letter", Compat::deadLetter);
    scenarios.put("tag_filter", Compat::tagFilter);
    scenarios.put("push", Compat::push);
    scenarios.put("push_retry", Compat::pushRetry);
    scenarios.put("push_dead_letter", Compat::pushDeadLetter);
    scenarios.put("shared_group", Compat::sharedGroup);
    scenarios.put("unknown_topic", Compat::unknownTopic);
    scenarios.put("illegal_topic", Compat::illegalTopic);
    scenarios.put("body_too_large", Compat::bodyTooLarge);
    scenarios.put("second_ack", Compat::secondAck);
    scenarios.put("expired_handle", Compat::expiredHandle);
    scenarios.put("undecodable_handle", Compat::undecodableHandle);
    scenarios.put("superseded_handle", Compat::supersededHandle);

    ExecutorService pool = Executors.newCachedThreadPool();
    List<Future<Boolean>> outcomes = new ArrayList<>();
    scenarios.forEach((name, scenario) -> outcomes.add(pool.submit(() -> attempt(name, scenario))));
    boolean good = true;
    for (Future<Boolean> outcome : outcomes) {
      good &= outcome.get();
    }
    producer.close();
    System.exit(good ? 0 : 1);
  }

  static boolean attempt(String name, Scenario scenario) {
    try {
      scenario.run();
      System.out.println("ok " + name);
      return true;
    } catch (Throwable e) {
      e.printStackTrace();
      System.out.println("FAIL " + name + ": " + String.valueOf(e).replaceAll("\\s+", " "));
      return false;
    }
  }

  static void sendAndReceive() throws Exception {
    try (SimpleConsumer consumer = consumer("basic", FilterExpression.SUB_ALL)) {
      byte[] large = new byte[1 << 20];
      new Random(1).nextBytes(large);
      Map<String, byte[]> sent = new LinkedHashMap<>();
      for (int i = 0; i < 20; i++) {
        byte[] body = i == 0 ? large : ("message " + i).getBytes(StandardCharsets.UTF_8);
        Message message = PROVIDER.newMessageBuilder().setTopic(topic("basic")).setBody(body)
            .setTag("blue").setKeys("key-" + i, "second").addProperty("colour", "blüe " + i).build();
        SendReceipt receipt = producer.send(message);
        sent.put(receipt.getMessageId().toString(), body);
      }
      check(sent.size() == 20, "message ids repeat");
      int index = 0;
      for (MessageView view : receive(consumer, 20)) {
        byte[] body = sent.remove(view.getMessageId().toString());
        check(body != null, "a message id that was not sent, or twice: " + view.getMessageId());
        check(ByteBuffer.wrap(body).equals(view.getBody()), "the body differs");
        check(view.getTopic().equals(topic("basic")), "topic " + view.getTopic());
        check(view.getTag().orElse("").equals("blue"), "tag " + view.getTag());
        check(view.getKeys().size() == 2 && view.getKeys().contains("second"), "keys " + view.getKeys());
        check(view.getProperties().size() == 1 && view.getProperties().get("colour").startsWith("blüe "),
            "properties " + view.getProperties());
        check(view.getDeliveryAttempt() == 1, "attempt " + view.getDeliveryAttempt());
        check(!view.getBornHost().isEmpty() && view.getBornTimestamp() > 0, "born host or time missing");
        consumer.ack(view);
        index++;
      }
      check(index == 20, "received " + index);
    }
  }

  static void ack() throws Exception {
    try (SimpleConsumer consumer = consumer("ack", FilterExpression.SUB_ALL)) {
      send("ack", 10);
      for (MessageView view : receive(consumer, 10, SHORTEST)) {
        consumer.ack(view);
      }
      silence(consumer, SHORTEST.plusSeconds(5));
    }
  }

  static void nack() throws Exception {
    try (SimpleConsumer consumer = consumer("nack", FilterExpression.SUB_ALL)) {
      send("nack", 1);
      String id = null;
      for (int attempt = 1; attempt <= 3; attempt++) {
        MessageView view = receive(consumer, 1).get(0);
        check(id == null || id.equals(view.getMessageId().toString()), "another message");
        id = view.getMessageId().toString();
        check(view.getDeliveryAttempt() == attempt,
            "attempt " + view.getDeliveryAttempt() + " instead of " + attempt);
        if (attempt < 3) {
          consumer.changeInvisibleDuration(view, Duration.ofSeconds(1));
        } else {
          consumer.ack(view);
        }
      }
      silence(consumer, AWAIT);
    }
  }

  static void deadLetter() throws Exception {
    try (SimpleConsumer consumer = consumer("dlq", FilterExpression.SUB_ALL)) {
      String id = send("dlq", 1).iterator().next();
      for (int attempt = 1; attempt <= 2; attempt++) {
        MessageView view = receive(consumer, 1).get(0);
        check(view.getDeliveryAttempt() == attempt, "attempt " + view.getDeliveryAttempt());
        consumer.changeInvisibleDuration(view, Duration.ofSeconds(1));
      }
      checkDeadLetter("dlq", id, () -> silence(consumer, AWAIT));
    }
  }

  static void tagFilter() throws Exception {
    // "Aa" and "BB" have the same Java hash code: the text must be compared too.
    try (SimpleConsumer consumer = consumer("tag", new FilterExpression("Aa || green"))) {
      Set<String> wanted = new HashSet<>();
      for (int i = 0; i < 4; i++) {
        for (String tag : new String[] {"Aa", "BB", "green", "red", null}) {
          var builder = PROVIDER.newMessageBuilder().setTopic(topic("tag")).setBody(new byte[] {1});
          if (tag != null) {
            builder.setTag(tag);
          }
          String id = producer.send(builder.build()).getMessageId().toString();
          if ("Aa".equals(tag) || "green".equals(tag)) {
            wanted.add(id);
          }
        }
      }
      for (MessageView view : receive(consumer, 8)) {
        check(wanted.remove(view.getMessageId().toString()), "not wanted, or twice: tag " + view.getTag());
        consumer.ack(view);
      }
      silence(consumer, AWAIT);
    }
  }

  static void push() throws Exception {
    Queue<String> seen = new ConcurrentLinkedQueue<>();
    try (PushConsumer consumer = pushConsumer("push", view -> {
      seen.add(view.getMessageId().toString());
      return ConsumeResult.SUCCESS;
    })) {
      Set<String> sent = send("push", 60);
      await("60 messages", () -> seen.size() >= 60);
      Thread.sleep(2000);
      check(seen.size() == 60, "received " + seen.size());
      check(new HashSet<>(seen).equals(sent), "other messages than sent");
    }
  }

  static void pushRetry() throws Exception {
    Queue<Integer> attempts = new ConcurrentLinkedQueue<>();
    try (PushConsumer consumer = pushConsumer("pushretry", view -> {
      attempts.add(view.getDeliveryAttempt());
      return view.getDeliveryAttempt() < 3 ? ConsumeResult.FAILURE : ConsumeResult.SUCCESS;
    })) {
      send("pushretry", 1);
      await("three attempts", () -> attempts.size() >= 3);
      check(new ArrayList<>(attempts).equals(List.of(1, 2, 3)), "attempts " + attempts);
    }
  }

  static void pushDeadLetter() throws Exception {
    AtomicInteger attempts = new AtomicInteger();
    try (PushConsumer consumer = pushConsumer("pushdlq", view -> {
      attempts.incrementAndGet();
      return ConsumeResult.FAILURE;
    })) {
      String id = send("pushdlq", 1).iterator().next();
      checkDeadLetter("pushdlq", id, () -> Thread.sleep(1000));
      check(attempts.get() == 2, "delivered " + attempts.get() + " times instead of 2");
    }
  }

  static void sharedGroup() throws Exception {
    int total = 200;
    Queue<String> seen = new ConcurrentLinkedQueue<>();
    ExecutorService pool = Executors.newFixedThreadPool(2);
    List<Future<Integer>> shares = new ArrayList<>();
    long deadline = deadline();
    List<SimpleConsumer> consumers = List.of(
        consumer("shared", FilterExpression.SUB_ALL), consumer("shared", FilterExpression.SUB_ALL));
    for (SimpleConsumer consumer : consumers) {
      shares.add(pool.submit(() -> {
        int mine = 0;
        while (seen.size() < total && System.nanoTime() < deadline) {
          for (MessageView view : consumer.receive(4, LONG)) {
            seen.add(view.getMessageId().toString());
            consumer.ack(view);
            mine++;
          }
        }
        return mine;
      }));
    }
    Set<String> sent = send("shared", total);
    int first = shares.get(0).get();
    int second = shares.get(1).get();
    pool.shutdown();
    check(seen.size() == total && new HashSet<>(seen).equals(sent),
        "received " + seen.size() + ", " + new HashSet<>(seen).size() + " different");
    check(first > 0 && second > 0, "shares " + first + " and " + second);
    for (SimpleConsumer consumer : consumers) {
      silence(consumer, Duration.ofSeconds(1));
      consumer.close();
    }
  }

  static void unknownTopic() throws Exception {
    refused(TOPIC_NOT_FOUND, () -> producer(topic("never-created")).close());
  }

  static void illegalTopic() throws Exception {
    refused(BAD_TOPIC_NAME, () -> producer("c.with.dots").close());
    refused(ILLEGAL_TOPIC, () -> producer("TBW102").close());
  }

  static void bodyTooLarge() throws Exception {
    try (Producer own = producer(topic("errors"))) {
      own.send(message("errors", new byte[4 << 20]));
      refused(BODY_OVER_NEGOTIATED_SIZE, () -> own.send(message("errors", new byte[(4 << 20) + 1])));
    }
  }

  static void secondAck() throws Exception {
    try (SimpleConsumer consumer = consumer("doubleack", FilterExpression.SUB_ALL)) {
      send("doubleack", 1);
      MessageView view = receive(consumer, 1).get(0);
      consumer.ack(view);
      consumer.ack(view);
    }
  }

  static void expiredHandle() throws Exception {
    try (SimpleConsumer consumer = consumer("expired", FilterExpression.SUB_ALL)) {
      send("expired", 1);
      MessageView view = receive(consumer, 1, SHORTEST).get(0);
      Thread.sleep(SHORTEST.plusSeconds(1).toMillis());
      refused(INVALID_RECEIPT_HANDLE, () -> consumer.ack(view));
      refused(INVALID_RECEIPT_HANDLE, () -> consumer.changeInvisibleDuration(view, LONG));
      MessageView again = receive(consumer, 1).get(0);
      check(again.getMessageId().equals(view.getMessageId()), "another message");
      check(again.getDeliveryAttempt() == 2, "attempt " + again.getDeliveryAttempt());
      consumer.ack(again);
    }
  }

  static void undecodableHandle() throws Exception {
    // Apache RocketMQ answers INTERNAL_SERVER_ERROR here, which tells a client to try again for ever.
    String code = APACHE ? INTERNAL_SERVER_ERROR : INVALID_RECEIPT_HANDLE;
    try (SimpleConsumer consumer = consumer("junk", FilterExpression.SUB_ALL)) {
      send("junk", 1);
      MessageViewImpl view = (MessageViewImpl) receive(consumer, 1).get(0);
      String good = view.getReceiptHandle();
      view.setReceiptHandle("junk");
      refused(code, () -> consumer.ack(view));
      refused(code, () -> consumer.changeInvisibleDuration(view, LONG));
      view.setReceiptHandle(good);
      consumer.ack(view);
    }
  }

  static void supersededHandle() throws Exception {
    try (SimpleConsumer consumer = consumer("superseded", FilterExpression.SUB_ALL)) {
      send("superseded", 1);
      MessageViewImpl view = (MessageViewImpl) receive(consumer, 1, LONG).get(0);
      String old = view.getReceiptHandle();
      consumer.changeInvisibleDuration(view, SHORTEST);
      check(!old.equals(view.getReceiptHandle()), "the handle did not change");
      view.setReceiptHandle(old);
      consumer.ack(view);
      if (!APACHE) { // there such an ack is answered OK and then forgotten
        silence(consumer, SHORTEST.plusSeconds(5));
      }
    }
  }

  /** Waits for the letter with this id in the dead-letter topic of the scenario's group. */
  static void checkDeadLetter(String name, String id, Scenario between) throws Exception {
    Map<String, FilterExpression> subscription =
        Collections.singletonMap("%DLQ%" + group(name), FilterExpression.SUB_ALL);
    long deadline = deadline();
    while (true) {
      between.run();
      check(System.nanoTime() < deadline, "no dead letter");
      // Apache RocketMQ knows the topic only from its first letter on.
      try (SimpleConsumer reader = PROVIDER.newSimpleConsumerBuilder().setClientConfiguration(CONFIGURATION)
          .setConsumerGroup(group(name + "-reader")).setAwaitDuration(AWAIT)
          .setSubscriptionExpressions(subscription).build()) {
        MessageView letter = receive(reader, 1).get(0);
        check(letter.getMessageId().toString().equals(id), "another message in the dead-letter topic");
        check(body(letter).equals("message 0"), "another body in the dead-letter topic");
        reader.ack(letter);
        silence(reader, Duration.ofSeconds(1));
        between.run();
        return;
      } catch (IllegalStateException e) {
        check(mentions(e, TOPIC_NOT_FOUND), "the reader does not start: " + e.getCause());
      }
    }
  }

  static Producer producer(String... topics) throws ClientException {
    return PROVIDER.newProducerBuilder().setClientConfiguration(CONFIGURATION).setTopics(topics).build();
  }

  static SimpleConsumer consumer(String name, FilterExpression filter) throws ClientException {
    return PROVIDER.newSimpleConsumerBuilder().setClientConfiguration(CONFIGURATION)
        .setConsumerGroup(group(name)).setAwaitDuration(AWAIT)
        .setSubscriptionExpressions(Collections.singletonMap(topic(name), filter)).build();
  }

  static PushConsumer pushConsumer(String name, MessageListener listener) throws ClientException {
    return PROVIDER.newPushConsumerBuilder().setClientConfiguration(CONFIGURATION)
        .setConsumerGroup(group(name)).setConsumptionThreadCount(4).setMessageListener(listener)
        .setSubscriptionExpressions(Collections.singletonMap(topic(name), FilterExpression.SUB_ALL)).build();
  }

  static Message message(String name, byte[] body) {
    return PROVIDER.newMessageBuilder().setTopic(topic(name)).setBody(body).build();
  }

  static Set<String> send(String name, int count) throws ClientException {
    Set<String> ids = new TreeSet<>();
    for (int i = 0; i < count; i++) {
      Message message = message(name, ("message " + i).getBytes(StandardCharsets.UTF_8));
      ids.add(producer.send(message).getMessageId().toString());
    }
    return ids;
  }

  static List<MessageView> receive(SimpleConsumer consumer, int count) throws Exception {
    return receive(consumer, count, LONG);
  }

  static List<MessageView> receive(SimpleConsumer consumer, int count, Duration invisible) throws Exception {
    List<MessageView> views = new ArrayList<>();
    long deadline = deadline();
    while (views.size() < count && System.nanoTime() < deadline) {
      views.addAll(consumer.receive(16, invisible));
    }
    check(views.size() == count, "received " + views.size() + " instead of " + count);
    return views;
  }

  /** Fails if anything is delivered within this time. */
  static void silence(SimpleConsumer consumer, Duration time) throws Exception {
    long until = System.nanoTime() + time.toNanos();
    do {
      for (MessageView view : consumer.receive(16, LONG)) {
        throw new AssertionError("delivered again, attempt " + view.getDeliveryAttempt());
      }
    } while (System.nanoTime() < until);
  }

  static void await(String what, Condition condition) throws Exception {
    long deadline = deadline();
    while (!condition.holds()) {
      check(System.nanoTime() < deadline, what + " did not happen");
      Thread.sleep(50);
    }
  }

  static void refused(String why, Scenario action) throws Exception {
    try {
      action.run();
    } catch (Exception e) {
      check(mentions(e, why), "refused with " + e + " instead of " + why);
      return;
    }
    throw new AssertionError("not refused");
  }

  /** A failed start wraps the server's answer in several exceptions. */
  static boolean mentions(Throwable e, String text) {
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      if (cause.toString().contains(text)) {
        return true;
      }
    }
    return false;
  }

  static String body(MessageView view) {
    return StandardCharsets.UTF_8.decode(view.getBody()).toString();
  }

  static String topic(String name) {
    return NAMES + "-" + name;
  }

  static String group(String name) {
    return NAMES + "-" + name + "-g";
  }

  static long deadline() {
    return System.nanoTime() + PATIENCE.toNanos();
  }

  static void check(boolean condition, String otherwise) {
    if (!condition) {
      throw new AssertionError(otherwise);
    }
  }

  interface Scenario {
    void run() throws Exception;
  }

  interface Condition {
    boolean holds();
  }
}
