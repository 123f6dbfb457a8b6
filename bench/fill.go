package main

import (
	"context"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	orders "github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/sqlite"
)

// fill makes a store of n paid orders, one a second until now, and returns how
// many bytes of the file each of them takes.
func fill(ctx context.Context, file, addr string, n int) (perOrder int64, err error) {
	st, err := sqlite.Open(ctx, file)
	if err != nil {
		return 0, err
	}
	shop := payment.ShopID(uid, origin(addr), "/checkout", "http://127.0.0.1:1")
	now := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(256)
	for i := range n {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return addPaid(gctx, st, shop, now.Add(time.Duration(i-n)*time.Second)) })
	}
	if err := g.Wait(); err != nil {
		_ = st.Close() // the first error says more
		return 0, err
	}
	if err := st.Close(); err != nil {
		return 0, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return info.Size() / int64(n), nil
}

// addPaid adds what a checkout and its notify leave behind.
func addPaid(ctx context.Context, st store.Store, shop string, at time.Time) error {
	o := &orders.Order{
		ID: orders.NewID(at), Shop: shop, Total: 3900, Title: "Coffee mug", Client: "192.0.2.1", Language: "en",
		Lines:     []orders.Line{{SKU: "mug", Name: "Coffee mug", Price: 3900, Qty: 1}},
		Buyer:     orders.Buyer{Name: "Ann Example", Email: "ann@example.com"},
		CreatedAt: at, ExpiresAt: at.Add(2 * time.Hour),
		History: []orders.Entry{{At: at, Who: orders.SourceBuyer, What: "created"}},
	}
	if err := st.Create(ctx, o, at, store.PendingLimits{}); err != nil {
		return err
	}
	payid := "P" + o.ID
	_, err := st.Update(ctx, shop, o.ID, payid, func(sub store.Subject) (*store.Change, error) {
		paid := sub.Order
		paid.State, paid.PaidAt = orders.Paid, at
		return &store.Change{
			Order:        paid,
			Payment:      &orders.Payment{PayID: payid, PayMoney: "39.00", RealPay: "39.00", Source: orders.SourceNotify, Verdict: "paid", At: at},
			Entries:      []orders.Entry{{At: at, Who: orders.SourceNotify, What: "paid"}},
			SetNextQuery: true,
		}, nil
	})
	return err
}
