package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-checkout/checkout/internal/store"
)

const (
	good = TargetWebhook + "https://good.example.com/hook"
	bad  = TargetWebhook + "https://bad.example.com/hook"
)

func TestScheduleLastsThreeDays(t *testing.T) {
	var sum time.Duration
	for i, want := range schedule {
		sum += want
		for range 100 {
			got, ok := backoff(i)
			if !ok || got < want-want/10 || got > want+want/10 {
				t.Fatalf("backoff(%d) = %v, %v; want %v give or take a tenth", i, got, ok, want)
			}
		}
	}
	if sum < 72*time.Hour || sum > 80*time.Hour {
		t.Errorf("schedule lasts %v, want about three days", sum)
	}
	if d, ok := backoff(len(schedule)); ok {
		t.Errorf("backoff after the last attempt = %v", d)
	}
}

func TestFailingDeliveryIsGivenUpAfterThreeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newMemory(), &scripted{outcomes: []Outcome{Retry}}
		var mu sync.Mutex
		outcomes := make(map[string]int)
		var log bytes.Buffer
		_, stop := start(t, Config{
			Store: m, Targets: []Target{{"shop", bad, s}},
			Observe: func(kind, outcome string, _ time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				outcomes[kind+" "+outcome]++
			},
			Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		event := m.add("shop", "o", TypePaid, nil, bad)
		time.Sleep(5 * 24 * time.Hour)
		if err := stop(); err != nil {
			t.Error(err)
		}
		d := m.get(event, bad)
		if d.State != store.DeliveryFailed || d.Attempts != len(schedule)+1 || len(d.Log) != d.Attempts {
			t.Errorf("delivery is %s after %d attempts (%d in the log)", d.State, d.Attempts, len(d.Log))
		}
		for i := 1; i < len(s.times); i++ {
			want, got := schedule[i-1], s.times[i].Sub(s.times[i-1])
			if got < want-want/10 || got > want+want/10+longestPoll {
				t.Errorf("wait %d was %v, want about %v", i, got, want)
			}
		}
		if outcomes["webhook retry"] != len(schedule) || outcomes["webhook failed"] != 1 || len(outcomes) != 2 {
			t.Errorf("observed %v", outcomes)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("%d errors in the log, want 1:\n%s", n, &log)
		}
		if strings.Contains(log.String(), "/hook") || strings.Contains(log.String(), "scripted") {
			t.Errorf("log holds the URL's path or the answer:\n%s", &log)
		}
	})
}

func TestWakeIsAtOnceAndPollIsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newMemory(), &scripted{outcomes: []Outcome{Delivered}}
		d, _ := start(t, Config{Store: m, Targets: []Target{{"shop", good, s}}})
		synctest.Wait()
		m.add("shop", "o1", TypePaid, nil, good)
		began := time.Now()
		d.Wake()
		synctest.Wait()
		if len(s.sent()) != 1 || !time.Now().Equal(began) {
			t.Fatalf("%d sent after a wake-up", len(s.sent()))
		}
		m.add("shop", "o2", TypePaid, nil, good)
		time.Sleep(longestPoll)
		synctest.Wait()
		if len(s.sent()) != 2 {
			t.Errorf("%d sent after the poll interval", len(s.sent()))
		}
	})
}

func TestFailingReceiverNeverDelaysAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newMemory(), &scripted{outcomes: []Outcome{Delivered}}
		var mu sync.Mutex
		busy, most := 0, 0
		hangs := senderFunc(func(ctx context.Context, _ store.Delivery) (int, string, Outcome) {
			mu.Lock()
			busy++
			most = max(most, busy)
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			busy--
			mu.Unlock()
			return 0, "no answer in time", Retry
		})
		const orders = 200
		for i := range orders {
			m.add("shop", fmt.Sprint(i), TypePaid, nil, bad, good)
		}
		began := time.Now()
		_, stop := start(t, Config{Store: m, Targets: []Target{{"shop", bad, hangs}, {"shop", good, s}}})
		synctest.Wait()
		if got := len(s.sent()); got != orders || !time.Now().Equal(began) {
			t.Errorf("the good receiver got %d of %d while the other hung", got, orders)
		}
		time.Sleep(time.Hour)
		stop()
		if most != concurrency {
			t.Errorf("%d attempts at once to the hanging receiver, want %d", most, concurrency)
		}
	})
}

func TestEventsOfOneOrderKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := &scripted{outcomes: []Outcome{Retry, Delivered, Retry, Retry, Delivered}}
		var want []string
		first := m.add("shop", "o", TypeExpired, nil, good)
		second := m.add("shop", "o", TypePaid, nil, good)
		third := m.add("shop", "o", TypeSecondPayment, nil, good)
		want = append(want, first, first, second, second, second, third)
		start(t, Config{Store: m, Targets: []Target{{"shop", good, s}}})
		time.Sleep(time.Hour)
		if got := s.sent(); !slices.Equal(got, want) {
			t.Errorf("sent %v\nwant %v", got, want)
		}
	})
}

func TestOtherOrdersPassOneThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var got []string
		s := senderFunc(func(_ context.Context, d store.Delivery) (int, string, Outcome) {
			if d.OrderID == "poison" {
				return 500, "", Retry
			}
			got = append(got, d.OrderID)
			return 200, "", Delivered
		})
		m.add("shop", "poison", TypePaid, nil, good)
		m.add("shop", "fine", TypePaid, nil, good)
		start(t, Config{Store: m, Targets: []Target{{"shop", good, s}}})
		synctest.Wait()
		if !slices.Equal(got, []string{"fine"}) {
			t.Errorf("delivered %v", got)
		}
	})
}

func TestGoneDisablesTheTargetUntilResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		gone, other := &scripted{outcomes: []Outcome{Gone, Delivered}}, &scripted{outcomes: []Outcome{Delivered}}
		d, _ := start(t, Config{Store: m, Targets: []Target{{"shop", bad, gone}, {"shop", good, other}}})
		first := m.add("shop", "o1", TypePaid, nil, bad, good)
		time.Sleep(time.Minute)
		second := m.add("shop", "o2", TypePaid, nil, bad, good)
		d.Wake()
		time.Sleep(100 * time.Hour)
		if got := m.get(first, bad); got.State != store.DeliveryDisabled || got.Attempts != 1 {
			t.Errorf("first is %s after %d attempts", got.State, got.Attempts)
		}
		if got := m.get(second, bad); got.State != store.DeliveryPending || len(gone.sent()) != 1 {
			t.Errorf("second is %s; %d requests to a receiver that is gone", got.State, len(gone.sent()))
		}
		if len(other.sent()) != 2 {
			t.Errorf("the other receiver got %d events, want 2", len(other.sent()))
		}
		if err := m.Redeliver(t.Context(), m.get(first, bad).ID, time.Now()); err != nil {
			t.Fatal(err)
		}
		d.Resume()
		synctest.Wait()
		if a, b := m.get(first, bad), m.get(second, bad); a.State != store.DeliveryDone || b.State != store.DeliveryDone {
			t.Errorf("after Resume: %s, %s", a.State, b.State)
		}
	})
}

func TestRejectedIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newMemory(), &scripted{outcomes: []Outcome{Rejected}}
		event := m.add("shop", "o", TypePaid, nil, MailBuyer)
		start(t, Config{Store: m, Targets: []Target{{"shop", MailBuyer, s}}})
		time.Sleep(time.Hour)
		if d := m.get(event, MailBuyer); d.State != store.DeliveryFailed || d.Attempts != 1 {
			t.Errorf("delivery is %s after %d attempts", d.State, d.Attempts)
		}
	})
}

func TestEachShopHasItsOwnSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a, b := &scripted{outcomes: []Outcome{Delivered}}, &scripted{outcomes: []Outcome{Delivered}}
		ea := m.add("a", "o1", TypePaid, nil, good)
		eb := m.add("b", "o2", TypePaid, nil, good)
		ec := m.add("c", "o3", TypePaid, nil, good)
		stray := m.add("a", "o4", TypePaid, nil, TargetWebhook+"https://old.example.com/secret-path")
		var log bytes.Buffer
		_, stop := start(t, Config{
			Store: m, Targets: []Target{{"a", good, a}, {"b", good, b}},
			Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		time.Sleep(time.Minute)
		stop()
		if !slices.Equal(a.sent(), []string{ea}) || !slices.Equal(b.sent(), []string{eb}) {
			t.Errorf("a got %v, b got %v", a.sent(), b.sent())
		}
		if d := m.get(ec, good); d.State != store.DeliveryPending || d.Attempts == 0 {
			t.Errorf("delivery of a shop without that webhook is %s after %d attempts", d.State, d.Attempts)
		}
		if d := m.get(stray, TargetWebhook+"https://old.example.com/secret-path"); d.Attempts != 0 {
			t.Errorf("delivery to a target that is not configured had %d attempts", d.Attempts)
		}
		if s := log.String(); !strings.Contains(s, "target=webhook:old.example.com") || strings.Contains(s, "secret-path") {
			t.Errorf("log:\n%s", s)
		}
	})
}

func TestOutageOfTheStoreIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newMemory(), &scripted{outcomes: []Outcome{Delivered}}
		m.fail(store.ErrUnavailable, nil)
		event := m.add("shop", "o", TypePaid, nil, good)
		var log bytes.Buffer
		_, stop := start(t, Config{
			Store: m, Targets: []Target{{"shop", good, s}}, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		time.Sleep(time.Hour)
		m.fail(nil, nil)
		time.Sleep(longestPoll)
		synctest.Wait()
		stop()
		if d := m.get(event, good); d.State != store.DeliveryDone {
			t.Errorf("delivery is %s", d.State)
		}
		if n := strings.Count(log.String(), "reading the outbox"); n != 1 {
			t.Errorf("outage is in the log %d times, want once", n)
		}
	})
}

func TestShutdownLetsAttemptsFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		release := make(chan struct{})
		s := senderFunc(func(ctx context.Context, _ store.Delivery) (int, string, Outcome) {
			select {
			case <-release:
				return 200, "", Delivered
			case <-ctx.Done():
				return 0, "", Retry
			}
		})
		event := m.add("shop", "o", TypeExpired, nil, good)
		next := m.add("shop", "o", TypePaid, nil, good)
		_, stop := start(t, Config{Store: m, Targets: []Target{{"shop", good, s}}})
		synctest.Wait()
		time.AfterFunc(defaultGrace-time.Second, func() { close(release) })
		if err := stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if d := m.get(event, good); d.State != store.DeliveryDone {
			t.Errorf("the delivery under way is %s", d.State)
		}
		if d := m.get(next, good); !d.NextAt.IsZero() {
			t.Error("a delivery was claimed during the shutdown")
		}
	})
}

func TestShutdownCutsOffWhatHangsAndItIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		hangs := senderFunc(func(ctx context.Context, _ store.Delivery) (int, string, Outcome) {
			<-ctx.Done()
			return 0, "", Retry
		})
		event := m.add("shop", "o", TypePaid, nil, good)
		_, stop := start(t, Config{Store: m, Targets: []Target{{"shop", good, hangs}}, Grace: time.Second})
		synctest.Wait()
		began := time.Now()
		if err := stop(); !errors.Is(err, ErrCutOff) {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("shutdown took %v, want the grace", took)
		}
		if d := m.get(event, good); d.Attempts != 0 || d.State != store.DeliveryPending {
			t.Errorf("what was cut off is %s after %d attempts", d.State, d.Attempts)
		}
		s := &scripted{outcomes: []Outcome{Delivered}}
		start(t, Config{Store: m, Targets: []Target{{"shop", good, s}}})
		time.Sleep(lease + longestPoll)
		synctest.Wait()
		if !slices.Equal(s.sent(), []string{event}) {
			t.Errorf("after the lease: sent %v", s.sent())
		}
	})
}

func TestAnswerThatBeatsTheCutOffIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := senderFunc(func(ctx context.Context, _ store.Delivery) (int, string, Outcome) {
			<-ctx.Done()
			return 200, "", Delivered
		})
		event := m.add("shop", "o", TypePaid, nil, good)
		_, stop := start(t, Config{Store: m, Targets: []Target{{"shop", good, s}}})
		synctest.Wait()
		if err := stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if d := m.get(event, good); d.State != store.DeliveryDone {
			t.Errorf("delivery is %s", d.State)
		}
	})
}

func TestLeaseOutlastsAnAttempt(t *testing.T) {
	if lease <= attemptTimeout+recordTimeout || webhookTimeout > attemptTimeout {
		t.Error("a delivery could be claimed again while it is under way")
	}
}

func TestClean(t *testing.T) {
	long := strings.Repeat("界", 400) // 3 bytes each
	for _, tc := range []struct{ in, want string }{
		{"", ""},
		{"ok\n", "ok\n"},
		{"a\x00b\x1b[31mc\td", "ab[31mc\td"},
		{"a\xffb", "a?b"},
		{"\xff\xfe", "?"},
		{"界", "界"},
		{strings.Repeat("x", 3000), strings.Repeat("x", 1024)},
		{long, long[:341*3]},
	} {
		if got := clean(tc.in); got != tc.want {
			t.Errorf("clean(%.20q) = %.40q (%d bytes), want %.40q", tc.in, got, len(got), tc.want)
		}
	}
}
