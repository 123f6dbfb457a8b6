package main

import (
	"crypto/rand"
	"database/sql"
	"net/http"
	"strconv"

	_ "modernc.org/sqlite" // the driver of the order app
)

// answer is as long as the JSON answer to an order.
const answer = `{"orderid":"01M8KWM8E0T2TKV1QVT4PMTKME","action":"https://gateway.example.com/pay.action","method":"POST","fields":{"uid":"10000001400000","orderid":"01M8KWM8E0T2TKV1QVT4PMTKME","ordername":"Coffee mug ×2","paymoney":"78.00","orderuid":"","paytype":"11","notifyurl":"http://localhost:18080/checkout/notify","returnurl":"http://localhost:18080/checkout/return/01M8KWM8E0T2TKV1QVT4PMTKME","orderinfo":"","key":"5ac22b4792b5b4342aa13b9d51843ef4"}}`

// serveBare is the least that a program behind a proxy can do.
func serveBare(addr string) error {
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(answer))
	}))
}

// serveOrders is the order program that people write behind a proxy: one
// durable SQLite transaction for each order.
func serveOrders(addr, file string) error {
	db, err := sql.Open("sqlite", file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, sku TEXT, qty INTEGER, total INTEGER, state TEXT)"); err != nil {
		return err
	}
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		qty, err := strconv.Atoi(r.FormValue("qty"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, err = db.Exec("INSERT INTO orders VALUES (?, ?, ?, ?, 'pending')", rand.Text(), r.FormValue("sku"), qty, qty*3900)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(answer))
	}))
}
