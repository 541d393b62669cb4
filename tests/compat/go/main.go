// The compatibility scenarios (see ../README.md) with the official Go client.
//
// The scenarios mostly wait, so all of them run at once, each on its own topic and group.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
	"github.com/apache/rocketmq-clients/golang/v5/credentials"
	v2 "github.com/apache/rocketmq-clients/golang/v5/protocol/v2"
)

const (
	// The shortest invisible duration that ReceiveMessage accepts.
	shortest = 10 * time.Second
	long     = 60 * time.Second
	await    = 5 * time.Second
	// How long a scenario waits for something that must happen.
	patience = 90 * time.Second
)

var (
	names  = os.Getenv("COMPAT_NAMES")
	apache = os.Getenv("COMPAT_PEER") == "apache"
	shared rmq.Producer
	ctx    = context.Background()
)

func main() {
	// TLS is this client's default, trusting any certificate; the switch is of the whole process.
	if os.Getenv("COMPAT_TLS") == "off" {
		rmq.EnableSsl = false
	}
	var err error
	if shared, err = producer(topic("basic")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		fmt.Println("FAIL start: the first producer does not start")
		os.Exit(1)
	}
	scenarios := []struct {
		name string
		run  func() error
	}{
		{"send_and_receive", sendAndReceive}, {"ack", ack}, {"nack", nack}, {"dead_letter", deadLetter},
		{"tag_filter", tagFilter}, {"push", push}, {"push_retry", pushRetry},
		{"push_dead_letter", pushDeadLetter}, {"shared_group", sharedGroup},
		{"unknown_topic", unknownTopic}, {"illegal_topic", illegalTopic}, {"body_too_large", bodyTooLarge},
		{"second_ack", secondAck}, {"expired_handle", expiredHandle},
		{"undecodable_handle", undecodableHandle}, {"superseded_handle", supersededHandle},
	}
	code := 0
	var running sync.WaitGroup
	var out sync.Mutex
	for _, scenario := range scenarios {
		running.Add(1)
		go func() {
			defer running.Done()
			err := scenario.run()
			out.Lock()
			defer out.Unlock()
			if err != nil {
				code = 1
				fmt.Printf("FAIL %s: %s\n", scenario.name, strings.Join(strings.Fields(err.Error()), " "))
			} else {
				fmt.Println("ok", scenario.name)
			}
		}()
	}
	running.Wait()
	_ = shared.GracefulStop()
	os.Exit(code)
}

func sendAndReceive() error {
	consumer, err := consumer("basic", rmq.SUB_ALL)
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	large := make([]byte, 1<<20)
	rand.New(rand.NewSource(1)).Read(large)
	sent := map[string][]byte{}
	for i := range 20 {
		body := fmt.Appendf(nil, "message %d", i)
		if i == 0 {
			body = large
		}
		message := &rmq.Message{Topic: topic("basic"), Body: body}
		message.SetTag("blue")
		message.SetKeys(fmt.Sprintf("key-%d", i), "second")
		message.AddProperty("colour", fmt.Sprintf("blüe %d", i))
		receipts, err := shared.Send(ctx, message)
		if err != nil {
			return err
		}
		sent[receipts[0].MessageID] = body
	}
	if len(sent) != 20 {
		return errors.New("message ids repeat")
	}
	views, err := receive(consumer, 20, long)
	if err != nil {
		return err
	}
	for _, view := range views {
		body, known := sent[view.GetMessageId()]
		delete(sent, view.GetMessageId())
		switch {
		case !known:
			return fmt.Errorf("a message id that was not sent, or twice: %s", view.GetMessageId())
		case !bytes.Equal(body, view.GetBody()):
			return errors.New("the body differs")
		case view.GetTopic() != topic("basic"):
			return fmt.Errorf("topic %s", view.GetTopic())
		case view.GetTag() == nil || *view.GetTag() != "blue":
			return errors.New("the tag differs")
		case len(view.GetKeys()) != 2 || view.GetKeys()[1] != "second":
			return fmt.Errorf("keys %v", view.GetKeys())
		case len(view.GetProperties()) != 1 || !strings.HasPrefix(view.GetProperties()["colour"], "blüe "):
			return fmt.Errorf("properties %v", view.GetProperties())
		case view.GetDeliveryAttempt() != 1:
			return fmt.Errorf("attempt %d", view.GetDeliveryAttempt())
		case *view.GetBornHost() == "" || view.GetBornTimestamp() == nil:
			return errors.New("born host or time missing")
		}
		if err := consumer.Ack(ctx, view); err != nil {
			return err
		}
	}
	return nil
}

func ack() error {
	consumer, err := consumer("ack", rmq.SUB_ALL)
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	if _, err := send("ack", 10); err != nil {
		return err
	}
	views, err := receive(consumer, 10, shortest)
	if err != nil {
		return err
	}
	for _, view := range views {
		if err := consumer.Ack(ctx, view); err != nil {
			return err
		}
	}
	return silence(consumer, shortest+5*time.Second)
}

func nack() error {
	consumer, err := consumer("nack", rmq.SUB_ALL)
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	ids, err := send("nack", 1)
	if err != nil {
		return err
	}
	for attempt := int32(1); attempt <= 3; attempt++ {
		view, err := receiveAttempt(consumer, ids[0], attempt, long)
		if err != nil {
			return err
		}
		if attempt < 3 {
			err = consumer.ChangeInvisibleDuration(view, time.Second)
		} else {
			err = consumer.Ack(ctx, view)
		}
		if err != nil {
			return err
		}
	}
	return silence(consumer, await)
}

func deadLetter() error {
	consumer, err := consumer("dlq", rmq.SUB_ALL)
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	ids, err := send("dlq", 1)
	if err != nil {
		return err
	}
	for attempt := int32(1); attempt <= 2; attempt++ {
		view, err := receiveAttempt(consumer, ids[0], attempt, long)
		if err != nil {
			return err
		}
		if err := consumer.ChangeInvisibleDuration(view, time.Second); err != nil {
			return err
		}
	}
	return checkDeadLetter("dlq", ids[0], func() error { return silence(consumer, await) })
}

func tagFilter() error {
	// "Aa" and "BB" have the same Java hash code: the text must be compared too.
	consumer, err := consumer("tag", rmq.NewFilterExpression("Aa || green"))
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	wanted := map[string]bool{}
	for range 4 {
		for _, tag := range []string{"Aa", "BB", "green", "red", ""} {
			message := &rmq.Message{Topic: topic("tag"), Body: []byte{1}}
			if tag != "" {
				message.SetTag(tag)
			}
			receipts, err := shared.Send(ctx, message)
			if err != nil {
				return err
			}
			if tag == "Aa" || tag == "green" {
				wanted[receipts[0].MessageID] = true
			}
		}
	}
	views, err := receive(consumer, 8, long)
	if err != nil {
		return err
	}
	for _, view := range views {
		if !wanted[view.GetMessageId()] {
			return fmt.Errorf("not wanted, or twice: %s", view.GetMessageId())
		}
		delete(wanted, view.GetMessageId())
		if err := consumer.Ack(ctx, view); err != nil {
			return err
		}
	}
	return silence(consumer, await)
}

func push() error {
	var lock sync.Mutex
	var seen []string
	consumer, err := pushConsumer("push", func(view *rmq.MessageView) rmq.ConsumerResult {
		lock.Lock()
		defer lock.Unlock()
		seen = append(seen, view.GetMessageId())
		return rmq.SUCCESS
	})
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	sent, err := send("push", 60)
	if err != nil {
		return err
	}
	received := func() int {
		lock.Lock()
		defer lock.Unlock()
		return len(seen)
	}
	if err := until("60 messages", func() bool { return received() >= 60 }); err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	lock.Lock()
	defer lock.Unlock()
	slices.Sort(seen)
	slices.Sort(sent)
	if !slices.Equal(seen, sent) {
		return fmt.Errorf("received %d messages, and not the 60 that were sent", len(seen))
	}
	return nil
}

func pushRetry() error {
	var lock sync.Mutex
	var attempts []int32
	consumer, err := pushConsumer("pushretry", func(view *rmq.MessageView) rmq.ConsumerResult {
		lock.Lock()
		defer lock.Unlock()
		attempts = append(attempts, view.GetDeliveryAttempt())
		if view.GetDeliveryAttempt() < 3 {
			return rmq.FAILURE
		}
		return rmq.SUCCESS
	})
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	if _, err := send("pushretry", 1); err != nil {
		return err
	}
	err = until("three attempts", func() bool {
		lock.Lock()
		defer lock.Unlock()
		return len(attempts) >= 3
	})
	lock.Lock()
	defer lock.Unlock()
	if err == nil && !slices.Equal(attempts, []int32{1, 2, 3}) {
		return fmt.Errorf("attempts %v", attempts)
	}
	return err
}

func pushDeadLetter() error {
	var lock sync.Mutex
	attempts := 0
	consumer, err := pushConsumer("pushdlq", func(*rmq.MessageView) rmq.ConsumerResult {
		lock.Lock()
		defer lock.Unlock()
		attempts++
		return rmq.FAILURE
	})
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	ids, err := send("pushdlq", 1)
	if err != nil {
		return err
	}
	between := func() error {
		time.Sleep(time.Second)
		return nil
	}
	if err := checkDeadLetter("pushdlq", ids[0], between); err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	if attempts != 2 {
		return fmt.Errorf("delivered %d times instead of 2", attempts)
	}
	return nil
}

func sharedGroup() error {
	const total = 200
	var lock sync.Mutex
	var seen []string
	received := func() int {
		lock.Lock()
		defer lock.Unlock()
		return len(seen)
	}
	deadline := time.Now().Add(patience)
	shares := make([]int, 2)
	failures := make([]error, 2)
	consumers := make([]rmq.SimpleConsumer, 2)
	var running sync.WaitGroup
	for i := range consumers {
		consumer, err := consumer("shared", rmq.SUB_ALL)
		if err != nil {
			return err
		}
		defer consumer.GracefulStop()
		consumers[i] = consumer
		running.Add(1)
		go func() {
			defer running.Done()
			for received() < total && time.Now().Before(deadline) && failures[i] == nil {
				views, err := receiveOnce(consumer, 4, long)
				failures[i] = err
				for _, view := range views {
					lock.Lock()
					seen = append(seen, view.GetMessageId())
					lock.Unlock()
					shares[i]++
					if err := consumer.Ack(ctx, view); err != nil {
						failures[i] = err
					}
				}
			}
		}()
	}
	sent, err := send("shared", total)
	running.Wait()
	if err := errors.Join(err, failures[0], failures[1]); err != nil {
		return err
	}
	slices.Sort(seen)
	slices.Sort(sent)
	if !slices.Equal(seen, sent) {
		return fmt.Errorf("received %d, %d different", len(seen), len(slices.Compact(seen)))
	}
	if shares[0] == 0 || shares[1] == 0 {
		return fmt.Errorf("shares %v", shares)
	}
	return errors.Join(silence(consumers[0], time.Second), silence(consumers[1], time.Second))
}

func unknownTopic() error {
	_, err := producer(topic("never-created"))
	return refused(v2.Code_TOPIC_NOT_FOUND, err)
}

func illegalTopic() error {
	_, dots := producer("c.with.dots")
	_, system := producer("TBW102")
	return errors.Join(refused(v2.Code_ILLEGAL_TOPIC, dots), refused(v2.Code_ILLEGAL_TOPIC, system))
}

func bodyTooLarge() error {
	own, err := producer(topic("errors"))
	if err != nil {
		return err
	}
	defer own.GracefulStop()
	if _, err := own.Send(ctx, &rmq.Message{Topic: topic("errors"), Body: make([]byte, 4<<20)}); err != nil {
		return err
	}
	// This client compares with max_body_size of the negotiated settings before it sends.
	_, err = own.Send(ctx, &rmq.Message{Topic: topic("errors"), Body: make([]byte, 4<<20+1)})
	if err == nil || !strings.Contains(err.Error(), "exceeds the threshold") {
		return fmt.Errorf("refused with %v instead of the negotiated size", err)
	}
	return nil
}

func secondAck() error {
	consumer, err := consumer("doubleack", rmq.SUB_ALL)
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	ids, err := send("doubleack", 1)
	if err != nil {
		return err
	}
	view, err := receiveAttempt(consumer, ids[0], 1, long)
	if err != nil {
		return err
	}
	return errors.Join(consumer.Ack(ctx, view), consumer.Ack(ctx, view))
}

// Ack of this client drops the status that the server answers, so the refusal shows only in a change.
func expiredHandle() error {
	consumer, err := consumer("expired", rmq.SUB_ALL)
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	ids, err := send("expired", 1)
	if err != nil {
		return err
	}
	view, err := receiveAttempt(consumer, ids[0], 1, shortest)
	if err != nil {
		return err
	}
	time.Sleep(shortest + time.Second)
	// A failed change clears the handle of the view, so the ack comes first.
	if err := consumer.Ack(ctx, view); err != nil {
		return err
	}
	if err := refused(v2.Code_INVALID_RECEIPT_HANDLE, consumer.ChangeInvisibleDuration(view, long)); err != nil {
		return err
	}
	again, err := receiveAttempt(consumer, ids[0], 2, long)
	if err != nil {
		return err
	}
	return consumer.Ack(ctx, again)
}

func undecodableHandle() error {
	consumer, err := consumer("junk", rmq.SUB_ALL)
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	ids, err := send("junk", 1)
	if err != nil {
		return err
	}
	view, err := receiveAttempt(consumer, ids[0], 1, long)
	if err != nil {
		return err
	}
	good := view.ReceiptHandle
	view.ReceiptHandle = "junk"
	code := v2.Code_INVALID_RECEIPT_HANDLE
	if apache { // which tells a client to try again for ever
		code = v2.Code_INTERNAL_SERVER_ERROR
	}
	if err := refused(code, consumer.ChangeInvisibleDuration(view, long)); err != nil {
		return err
	}
	view.ReceiptHandle = good
	return consumer.Ack(ctx, view)
}

func supersededHandle() error {
	consumer, err := consumer("superseded", rmq.SUB_ALL)
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	ids, err := send("superseded", 1)
	if err != nil {
		return err
	}
	view, err := receiveAttempt(consumer, ids[0], 1, long)
	if err != nil {
		return err
	}
	old := view.ReceiptHandle
	if err := consumer.ChangeInvisibleDuration(view, shortest); err != nil {
		return err
	}
	if view.ReceiptHandle == old {
		return errors.New("the handle did not change")
	}
	view.ReceiptHandle = old
	if err := consumer.Ack(ctx, view); err != nil {
		return err
	}
	if apache { // there such an ack is answered OK and then forgotten
		return nil
	}
	return silence(consumer, shortest+5*time.Second)
}

// checkDeadLetter waits for the letter with this id in the dead-letter topic of the scenario's group.
func checkDeadLetter(name, id string, between func() error) error {
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if err := between(); err != nil {
			return err
		}
		reader, err := subscriber("%DLQ%"+group(name), group(name+"-reader"), rmq.SUB_ALL)
		if hasCode(v2.Code_TOPIC_NOT_FOUND, err) {
			continue // Apache RocketMQ knows the topic only from its first letter on
		}
		if err != nil {
			return err
		}
		defer reader.GracefulStop()
		letter, err := receiveAny(reader, long)
		if err != nil {
			return err
		}
		if letter.GetMessageId() != id || string(letter.GetBody()) != "message 0" {
			return errors.New("another message in the dead-letter topic")
		}
		return errors.Join(reader.Ack(ctx, letter), silence(reader, time.Second), between())
	}
	return errors.New("no dead letter")
}

func config(group string) *rmq.Config {
	return &rmq.Config{
		Endpoint:      os.Getenv("COMPAT_ENDPOINT"),
		ConsumerGroup: group,
		Credentials:   &credentials.SessionCredentials{},
	}
}

func producer(topic string) (rmq.Producer, error) {
	producer, err := rmq.NewProducer(config(""), rmq.WithTopics(topic))
	if err != nil {
		return nil, err
	}
	return producer, producer.Start()
}

func consumer(name string, filter *rmq.FilterExpression) (rmq.SimpleConsumer, error) {
	return subscriber(topic(name), group(name), filter)
}

func subscriber(topic, group string, filter *rmq.FilterExpression) (rmq.SimpleConsumer, error) {
	consumer, err := rmq.NewSimpleConsumer(config(group), rmq.WithSimpleAwaitDuration(await),
		rmq.WithSimpleSubscriptionExpressions(map[string]*rmq.FilterExpression{topic: filter}))
	if err != nil {
		return nil, err
	}
	return consumer, consumer.Start()
}

func pushConsumer(name string, consume func(*rmq.MessageView) rmq.ConsumerResult) (rmq.PushConsumer, error) {
	consumer, err := rmq.NewPushConsumer(config(group(name)), rmq.WithPushAwaitDuration(await),
		rmq.WithPushSubscriptionExpressions(map[string]*rmq.FilterExpression{topic(name): rmq.SUB_ALL}),
		rmq.WithPushMessageListener(&rmq.FuncMessageListener{Consume: consume}),
		rmq.WithPushConsumptionThreadCount(4))
	if err != nil {
		return nil, err
	}
	return consumer, consumer.Start()
}

func send(name string, count int) ([]string, error) {
	var ids []string
	for i := range count {
		message := &rmq.Message{Topic: topic(name), Body: fmt.Appendf(nil, "message %d", i)}
		receipts, err := shared.Send(ctx, message)
		if err != nil {
			return nil, err
		}
		ids = append(ids, receipts[0].MessageID)
	}
	return ids, nil
}

// receiveOnce is one long poll; this client reports an empty one as an error.
func receiveOnce(consumer rmq.SimpleConsumer, count int32, invisible time.Duration) ([]*rmq.MessageView, error) {
	views, err := consumer.Receive(ctx, count, invisible)
	if hasCode(v2.Code_MESSAGE_NOT_FOUND, err) {
		return nil, nil
	}
	return views, err
}

func receive(consumer rmq.SimpleConsumer, count int, invisible time.Duration) ([]*rmq.MessageView, error) {
	var views []*rmq.MessageView
	for deadline := time.Now().Add(patience); len(views) < count && time.Now().Before(deadline); {
		some, err := receiveOnce(consumer, 16, invisible)
		if err != nil {
			return nil, err
		}
		views = append(views, some...)
	}
	if len(views) != count {
		return nil, fmt.Errorf("received %d instead of %d", len(views), count)
	}
	return views, nil
}

func receiveAny(consumer rmq.SimpleConsumer, invisible time.Duration) (*rmq.MessageView, error) {
	views, err := receive(consumer, 1, invisible)
	if err != nil {
		return nil, err
	}
	return views[0], nil
}

func receiveAttempt(
	consumer rmq.SimpleConsumer, id string, attempt int32, invisible time.Duration,
) (*rmq.MessageView, error) {
	view, err := receiveAny(consumer, invisible)
	if err != nil {
		return nil, err
	}
	if view.GetMessageId() != id {
		return nil, errors.New("another message")
	}
	if view.GetDeliveryAttempt() != attempt {
		return nil, fmt.Errorf("attempt %d instead of %d", view.GetDeliveryAttempt(), attempt)
	}
	return view, nil
}

// silence fails if anything is delivered within this time.
func silence(consumer rmq.SimpleConsumer, duration time.Duration) error {
	for end := time.Now().Add(duration); ; {
		views, err := receiveOnce(consumer, 16, long)
		if err != nil {
			return err
		}
		if len(views) > 0 {
			return fmt.Errorf("delivered again, attempt %d", views[0].GetDeliveryAttempt())
		}
		if time.Now().After(end) {
			return nil
		}
	}
}

func until(what string, holds func() bool) error {
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not happen", what)
		}
	}
	return nil
}

// hasCode reads the text: a failed start of this client wraps the status beyond the reach of errors.As.
func hasCode(code v2.Code, err error) bool {
	return err != nil && strings.Contains(err.Error(), "CODE: "+code.String()+",")
}

func refused(code v2.Code, err error) error {
	if err == nil {
		return errors.New("not refused")
	}
	if !hasCode(code, err) {
		return fmt.Errorf("refused with %w instead of %s", err, code)
	}
	return nil
}

func topic(name string) string { return names + "-" + name }

func group(name string) string { return names + "-" + name + "-g" }
