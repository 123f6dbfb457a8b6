package store

import (
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/internal/order"
)

func TestRecent(t *testing.T) {
	var c Recent
	o := &order.Order{ID: "1", Lines: []order.Line{{SKU: "mug"}}}
	if got, ticket := c.Get(o.ID); got != nil {
		t.Fatal("an order that was never put")
	} else {
		c.Put(o, ticket)
	}
	got, ticket := c.Get(o.ID)
	if got == nil {
		t.Fatal("the order is not there")
	}
	got.Lines[0].SKU = "spoilt"
	if again, _ := c.Get(o.ID); again.Lines[0].SKU != "mug" {
		t.Error("a copy was changed, and the order with it")
	}
	c.Forget([]string{o.ID})
	if got, _ := c.Get(o.ID); got != nil {
		t.Error("a forgotten order is there")
	}
	c.Put(o, ticket)
	if got, _ := c.Get(o.ID); got != nil {
		t.Error("an order that was read before it changed was kept")
	}
	_, ticket = c.Get(o.ID)
	large := &order.Order{ID: "2", Title: strings.Repeat("x", maxRecentText+1)}
	c.Put(large, ticket)
	if got, _ := c.Get(large.ID); got != nil {
		t.Error("a large order was kept")
	}
	for i := range 5 * maxRecent {
		c.Put(&order.Order{ID: strconv.Itoa(i)}, ticket)
	}
	if n := len(c.newer) + len(c.older); n > 2*maxRecent {
		t.Errorf("%d orders are kept", n)
	}
	c.ForgetAll()
	if got, _ := c.Get(strconv.Itoa(5*maxRecent - 1)); got != nil {
		t.Error("an order is there after all were forgotten")
	}
}
