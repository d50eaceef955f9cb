package rabbitbus_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"daybook/adapters/rabbitbus"
	"daybook/core/ports"
	"daybook/test/servers"
)

// body is as long as an event.
var body = []byte(`{"specversion":"1.0","id":"evt-17","source":"daybook","type":"MoneyDeposited","subject":"acc-101",` +
	`"time":"2025-10-28T09:00:00Z","datacontenttype":"application/json","data":{"id":"evt-17","aggregateId":"acc-101",` +
	`"eventType":"MoneyDeposited","timestamp":"2025-10-28T09:00:00Z","data":{"amount":1000},"version":2,"position":17}}`)

// BenchmarkPublish compares confirmed messages through Publish, in pages as the relay publishes them, with the bare client
// in the same run: one durable quorum queue each.
func BenchmarkPublish(b *testing.B) {
	url := servers.Rabbit(b)
	for _, page := range []int{1, 64, 256, 1024} {
		b.Run("pages of "+strconv.Itoa(page), func(b *testing.B) {
			topic := servers.RabbitPrefix(b) + "events"
			broker := open(b, rabbitbus.Options{URL: url, Durable: []ports.Subscription{{Topic: topic, Name: "queue"}}})
			messages := make([]*message.Message, page)
			b.ResetTimer()
			for n := 0; n < b.N; n += page {
				for i := range messages {
					messages[i] = message.NewMessage("evt-"+strconv.Itoa(n+i), body)
					messages[i].Metadata["eventType"] = "MoneyDeposited"
				}
				if err := broker.Publish(topic, messages...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
	for _, window := range []int{1, 256, 512} {
		b.Run("bare client, straight to the queue, window "+strconv.Itoa(window), func(b *testing.B) { bare(b, url, window, false) })
		b.Run("bare client, through a topic exchange, window "+strconv.Itoa(window), func(b *testing.B) { bare(b, url, window, true) })
	}
}

// bare publishes with nothing but the client, and at most so many messages unconfirmed.
func bare(b *testing.B, url string, window int, topic bool) {
	b.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		b.Fatal("connect")
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		b.Fatal(err)
	}
	queue := servers.RabbitPrefix(b) + "bare"
	if _, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum}); err != nil {
		b.Fatal(err)
	}
	exchange, key := "", queue
	if topic {
		exchange, key = queue, "MoneyDeposited"
		if err := errors.Join(ch.ExchangeDeclare(exchange, "topic", true, false, false, false, nil),
			ch.QueueBind(queue, "#", exchange, false, nil)); err != nil {
			b.Fatal(err)
		}
	}
	if err := ch.Confirm(false); err != nil {
		b.Fatal(err)
	}
	unconfirmed := make([]*amqp.DeferredConfirmation, 0, b.N)
	b.ResetTimer()
	for n := range b.N {
		confirm, err := ch.PublishWithDeferredConfirm(exchange, key, false, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, MessageId: "evt-" + strconv.Itoa(n), Body: body,
		})
		if err != nil {
			b.Fatal(err)
		}
		unconfirmed = append(unconfirmed, confirm)
		if n >= window-1 {
			unconfirmed[n-window+1].Wait()
		}
	}
	for _, confirm := range unconfirmed {
		confirm.Wait()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkConsume measures messages from a durable queue to their acks.
func BenchmarkConsume(b *testing.B) {
	url := servers.Rabbit(b)
	for _, ahead := range []int{1, 256} {
		b.Run("ahead "+strconv.Itoa(ahead), func(b *testing.B) {
			topic := servers.RabbitPrefix(b) + "events"
			broker := open(b, rabbitbus.Options{URL: url, Durable: []ports.Subscription{{Topic: topic, Name: "queue"}}})
			messages := make([]*message.Message, b.N)
			for i := range messages {
				messages[i] = message.NewMessage("evt-"+strconv.Itoa(i), body)
			}
			if err := broker.Publish(topic, messages...); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			out, err := broker.Subscribe(b.Context(), topic, "queue", ahead)
			if err != nil {
				b.Fatal(err)
			}
			for range b.N {
				(<-out).Ack()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
