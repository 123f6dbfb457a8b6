package postgres

import (
	"context"
	"fmt"
	"testing"

	"github.com/caddy-checkout/checkout/internal/store"
	"github.com/caddy-checkout/checkout/internal/store/postgres/pgtest"
)

// BenchmarkCreate compares what the committer does with a transaction for each
// order, on a server that syncs every commit to the disk. pay creates an order
// and pays it.
func BenchmarkCreate(b *testing.B) {
	pg := pgtest.Start(b, "fsync=on")
	limits := store.PendingLimits{Total: 1 << 30}
	for _, clients := range []int{1, 64} {
		for name, commit := range map[string]func(s *Store) error{
			"group": func(s *Store) error { return s.Create(context.Background(), newOrder("shop"), t0, limits) },
			"pay": func(s *Store) error {
				o := newOrder("shop")
				if err := s.Create(context.Background(), o, t0, limits); err != nil {
					return err
				}
				_, err := s.Update(context.Background(), "shop", o.ID, o.ID, pay(o.ID))
				return err
			},
			"each": func(s *Store) error {
				o := newOrder("shop")
				_, err := s.transact([]*op{{create: o, firstQuery: t0, shop: o.Shop, id: o.ID}}, true)
				return err
			},
		} {
			b.Run(fmt.Sprintf("%s/clients=%d", name, clients), func(b *testing.B) {
				s := open(b, pg.Schema(b)+"&pool_max_conns=64")
				b.SetParallelism(clients)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := commit(s); err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
			})
		}
	}
}
