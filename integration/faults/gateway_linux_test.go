package faults

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/integration/harness"
)

// maxGrowth bounds, in MiB, what trouble of the gateway may cost of memory. It
// is far above what is needed, also under the race detector, and far below
// what the answers hold.
const maxGrowth = 512

// memory reads a line of /proc/<pid>/status, such as VmRSS or VmHWM, in MiB.
func memory(t *testing.T, shop *harness.Shop, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", shop.PID()))
	if err != nil {
		t.Fatal(err)
	}
	var kib int
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			if _, err := fmt.Sscanf(value, "%d kB", &kib); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
	}
	return kib >> 10
}

// trouble is a way in which a gateway answers badly, until let is closed.
type trouble struct {
	name   string
	answer func(w http.ResponseWriter, let <-chan struct{})
}

func troubles(t *testing.T, elsewhere string) []trouble {
	t.Helper()
	zeros := make([]byte, 1<<20)
	var member bytes.Buffer
	z := gzip.NewWriter(&member)
	if _, err := z.Write(zeros); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	bomb := bytes.Repeat(member.Bytes(), 1<<10) // unpacks to 1 GiB
	return []trouble{
		{"hangs", func(_ http.ResponseWriter, let <-chan struct{}) { <-let }},
		{"drips", func(w http.ResponseWriter, let <-chan struct{}) {
			for {
				if _, err := w.Write([]byte(" ")); err != nil {
					return
				}
				if err := http.NewResponseController(w).Flush(); err != nil {
					return
				}
				select {
				case <-let:
					return
				case <-time.After(time.Second):
				}
			}
		}},
		{"redirects", func(w http.ResponseWriter, _ <-chan struct{}) {
			w.Header().Set("Location", elsewhere)
			w.WriteHeader(http.StatusFound)
		}},
		{"sends 10 GiB", func(w http.ResponseWriter, _ <-chan struct{}) {
			for range 10 << 10 {
				if _, err := w.Write(zeros); err != nil {
					return
				}
			}
		}},
		{"sends a bomb", func(w http.ResponseWriter, _ <-chan struct{}) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}},
		{"breaks off", func(http.ResponseWriter, <-chan struct{}) { panic(http.ErrAbortHandler) }},
	}
}

// A gateway that answers badly in every way at once: orders stay pending, the
// site is served, notifies are taken, memory stays bounded.
func TestGatewayInTrouble(t *testing.T) {
	const each = 8
	shop := harness.NewShop(t)
	shop.Start(with(shop.Caddyfile("limits off"), quiet))
	elsewhere := harness.NewReceiver(t, nil)
	kinds := troubles(t, elsewhere.URL)
	kindOf := map[string]trouble{}
	var orders []harness.Order
	for _, kind := range kinds {
		for range each {
			o := shop.Order()
			kindOf[o.OrderID] = kind
			orders = append(orders, o)
		}
	}
	let := make(chan struct{})
	defer close(let)
	shop.Gateway.AnswerStatus(func(w http.ResponseWriter, orderid string) { kindOf[orderid].answer(w, let) })

	before := memory(t, shop, "VmRSS")
	answers := make([]harness.Answer, len(orders))
	var buyers sync.WaitGroup
	for i, o := range orders {
		buyers.Go(func() { answers[i] = shop.Get("/checkout/status?orderid=" + o.OrderID) })
	}
	harness.Await(t, "a question about every order", func() bool {
		for _, o := range orders {
			if len(shop.Gateway.Questions(o.OrderID)) == 0 {
				return false
			}
		}
		return true
	})
	expectSite(t, shop)
	late := shop.Order()
	expectSuccess(t, shop.Notify(late.Payment("pay-late")))
	buyers.Wait()
	for i, o := range orders {
		var st harness.Status
		if answers[i].JSON(t, &st); st.State != "pending" {
			t.Errorf("asking a gateway that %s makes an order %+v", kindOf[o.OrderID].name, st)
		}
		expectSuccess(t, shop.Notify(o.Payment("pay-"+o.OrderID)))
		if st := shop.Status(o.OrderID); st.State != "paid" {
			t.Errorf("after the notify the order is %+v", st)
		}
	}
	expectSite(t, shop)
	if n := len(elsewhere.Deliveries()); n > 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
	peak := memory(t, shop, "VmHWM")
	t.Logf("%d bad answers: memory %d MiB before, at most %d MiB", len(orders), before, peak)
	if peak-before > maxGrowth {
		t.Errorf("memory grew from %d to %d MiB", before, peak)
	}
}

// A gateway that cannot be reached, or shows a certificate nobody vouches for.
func TestGatewayOutOfReach(t *testing.T) {
	refused := harness.NewCaddy(t) // holds a port that nothing serves
	for name, base := range map[string]string{
		"refused": fmt.Sprintf("http://127.0.0.2:%d", refused.Listen()),
		"bad TLS": harness.NewTLSGateway(t).URL,
	} {
		t.Run(name, func(t *testing.T) {
			shop := harness.NewShop(t)
			shop.Start(strings.Replace(shop.Caddyfile(), shop.Gateway.URL, base, 1))
			o := shop.Order()
			if st := shop.Status(o.OrderID); st.State != "pending" {
				t.Errorf("the order is %+v", st)
			}
			shop.AwaitLog("gateway gave no usable answer", `"outcome":"refused"`)
			expectSite(t, shop)
			expectSuccess(t, shop.Notify(o.Payment("pay-1")))
			if st := shop.Status(o.OrderID); st.State != "paid" {
				t.Errorf("after the notify the order is %+v", st)
			}
		})
	}
}
