package checkout

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/sign"
)

// costless is a store in which every order waits for 39.00. It keeps nothing.
type costless struct{ store.Store }

func (costless) Create(context.Context, *order.Order, time.Time, store.PendingLimits) error {
	return nil
}

func (costless) Update(_ context.Context, shop, id, _ string, decide func(store.Subject) (*store.Change, error)) (*order.Order, error) {
	c, err := decide(store.Subject{Order: order.Order{
		ID: id, Shop: shop, Total: 3900,
		Lines: []order.Line{{SKU: "mug", Name: "Coffee mug", Price: 3900, Qty: 1}},
	}})
	if err != nil {
		return nil, err
	}
	return &c.Order, nil
}

// discard is a ResponseWriter that costs nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header            { return d.header }
func (d *discard) WriteHeader(status int)         { d.status = status }
func (d *discard) Write(b []byte) (int, error)    { return len(b), nil }
func (*discard) SetReadDeadline(time.Time) error  { return nil }
func (*discard) SetWriteDeadline(time.Time) error { return nil }

// whole is a body that comes with its end, as net/http's do.
type whole string

func (s *whole) Read(p []byte) (int, error) {
	n := copy(p, *s)
	if *s = (*s)[n:]; *s == "" {
		return n, io.EOF
	}
	return n, nil
}

func (*whole) Close() error { return nil }

// BenchmarkRoutes takes requests through Caddy's routes, without net/http and
// without a store. Respond is what Caddy takes by itself.
func BenchmarkRoutes(b *testing.B) {
	const id = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	key, err := sign.Notify.Key(canary, "10000000000001", id, "", "39.00", "39.00")
	if err != nil {
		b.Fatal(err)
	}
	srv := benchServer(b)
	for _, bm := range []struct{ name, path, body string }{
		{"respond", "/respond", "sku=mug&qty=1"},
		{"checkout", "/checkout", "sku=mug&qty=1"},
		{"notify", "/checkout/notify", "payid=10000000000001&orderid=" + id + "&orderuid=&paymoney=39.00&realpay=39.00&key=" + key},
	} {
		b.Run(bm.name, func(b *testing.B) {
			w := &discard{header: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				body := whole(bm.body)
				r, err := http.NewRequest("POST", bm.path, &body)
				if err != nil {
					b.Fatal(err)
				}
				r.RemoteAddr, r.Host, r.ContentLength = "192.0.2.1:4711", "shop.example.com", int64(len(bm.body))
				r.Header["Content-Type"] = []string{"application/x-www-form-urlencoded"}
				r.Header["Accept"] = []string{"application/json"}
				clear(w.header)
				srv.ServeHTTP(w, r)
				if w.status != 200 {
					b.Fatal(w.status)
				}
			}
		})
	}
}

func benchServer(b *testing.B) http.Handler {
	b.Helper()
	b.Setenv("CHECKOUT_TEST_TOKEN", canary)
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\n"+global(b.TempDir())+"log {\nlevel ERROR\n}\n}\n"+
		site("8080", "respond /respond ok\n"+block("limits off"))), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		b.Fatal(err)
	}
	var cfg *caddy.Config
	if err := caddy.StrictUnmarshalJSON(raw, &cfg); err != nil {
		b.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		b.Fatal(err)
	}
	app, err := ctx.App("checkout")
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range app.(*App).shops {
		s.open(costless{})
	}
	web, err := ctx.App("http")
	if err != nil {
		b.Fatal(err)
	}
	return web.(*caddyhttp.App).Servers["srv0"]
}
