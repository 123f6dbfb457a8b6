package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/caddy-checkout/checkout/internal/store"
)

// inList picks those that are in a JSON array. Looked up one by one, they
// never tempt SQLite to read a whole table.
const inList = " IN (SELECT value FROM json_each(?)) "

// Export is [store.Exporter].Export.
func (s *Store) Export(ctx context.Context, after string, n int) (page []store.Record, err error) {
	err = s.snapshot(ctx, func(r reader) error {
		page, err = r.export(after, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("exporting orders: %w", err)
	}
	return page, nil
}

func (r reader) export(after string, n int) ([]store.Record, error) {
	var ids []string
	if err := r.query("SELECT id FROM orders WHERE id > ? ORDER BY id LIMIT ?", []any{after, n}, func(rows scanner) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}); err != nil {
		return nil, err
	}
	page := make([]store.Record, len(ids))
	place := make(map[string]*store.Record, len(ids))
	for i, id := range ids {
		place[id] = &page[i]
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	args := []any{string(list)}
	if err := r.query(selectOrder+"WHERE o.id"+inList, args, func(rows scanner) error {
		o, err := scanOrder(rows)
		if err == nil {
			place[o.ID].Order, place[o.ID].NextQuery = o.Order, at(o.next)
		}
		return err
	}); err != nil {
		return nil, err
	}
	if err := r.query("SELECT id, history FROM orders WHERE id"+inList, args, func(rows scanner) error {
		var (
			id   string
			text sql.RawBytes
		)
		err := rows.Scan(&id, &text)
		if err == nil {
			place[id].Order.History, err = decodeHistory(text)
		}
		return err
	}); err != nil {
		return nil, err
	}
	if err := r.query("SELECT order_id, id, type, at, payload FROM events WHERE order_id"+inList+"ORDER BY order_id, id", args, func(rows scanner) error {
		var (
			e    store.Event
			id   string
			when int64
		)
		err := rows.Scan(&id, &e.ID, &e.Type, &when, &e.Payload)
		e.At = at(when)
		if err == nil {
			place[id].Events = append(place[id].Events, e)
		}
		return err
	}); err != nil {
		return nil, err
	}
	return page, r.exportDeliveries(place, args)
}

// exportDeliveries adds the deliveries of the orders that args pick.
func (r reader) exportDeliveries(place map[string]*store.Record, args []any) error {
	var deliveries []store.Delivery
	if err := readDeliveries(r, &deliveries, "WHERE d.order_id"+inList+"ORDER BY d.n", args...); err != nil {
		return err
	}
	numbers := make([]json.RawMessage, len(deliveries))
	byID := make(map[string]*store.Delivery, len(deliveries))
	for i := range deliveries {
		d := &deliveries[i]
		numbers[i], byID[d.ID] = json.RawMessage(d.ID), d
	}
	list, err := json.Marshal(numbers)
	if err != nil {
		return err
	}
	if err := r.query("SELECT delivery, at, took, status, answer FROM attempts WHERE delivery"+inList+"ORDER BY delivery, seq", []any{string(list)}, func(rows scanner) error {
		var of int64
		a, err := scanAttempt(rows, &of)
		if err == nil {
			d := byID[strconv.FormatInt(of, 10)]
			d.Log = append(d.Log, a)
		}
		return err
	}); err != nil {
		return err
	}
	for _, d := range deliveries {
		place[d.OrderID].Deliveries = append(place[d.OrderID].Deliveries, d)
	}
	return nil
}

// ExportQuestions is [store.Exporter].ExportQuestions.
func (s *Store) ExportQuestions(ctx context.Context) (all []store.Question, err error) {
	err = s.reader(ctx).query("SELECT merchant, asked, amount, at FROM balances ORDER BY merchant", nil, func(rows scanner) error {
		var (
			q           store.Question
			asked, when int64
		)
		err := rows.Scan(&q.Merchant, &asked, &q.Amount, &when)
		q.AskedAt, q.At = at(asked), at(when)
		all = append(all, q)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("exporting balances: %w", err)
	}
	return all, nil
}

var _ store.Exporter = (*Store)(nil)
