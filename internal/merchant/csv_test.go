package merchant

import (
	"bytes"
	"context"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// listed is a store that has only these orders.
type listed struct {
	store.Store
	orders []order.Order
}

func (l listed) Each(_ context.Context, _ store.Filter, fn func(*order.Order) error) error {
	for _, o := range l.orders {
		if err := fn(&o); err != nil {
			return err
		}
	}
	return nil
}

func TestWriteCSV(t *testing.T) {
	at := time.Date(2026, 3, 1, 20, 30, 0, 0, time.UTC)
	d := &Desk{Store: listed{orders: []order.Order{{
		ID: "01HZX0000000000000000000A1", Shop: "shop", State: order.Paid, Total: 7900, CreatedAt: at, PaidAt: at,
		Lines: []order.Line{{SKU: "mug", Name: "手冲咖啡壶", Price: 3900, Qty: 2}, {SKU: "tea", Name: `"Tea", green`, Price: 100, Qty: 1}},
		Buyer: order.Buyer{Name: `=HYPERLINK("http://evil")`, Tel: "+86 138", Note: "-1\n@x", Address: "Road 1\nTown"},
		Note:  "@note", OrderUID: "a\x1b[2Jb",
	}}}}
	var b bytes.Buffer
	if err := d.WriteCSV(t.Context(), &b, store.Filter{}, time.FixedZone("UTC+8", 8*3600)); err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutPrefix(b.String(), "\ufeff")
	if !ok {
		t.Error("no byte order mark")
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	got := func(row int, column string) string {
		for i, name := range rows[0] {
			if name == column {
				return rows[row][i]
			}
		}
		t.Fatalf("no column %q", column)
		return ""
	}
	for _, c := range []struct {
		row          int
		column, want string
	}{
		{1, "sku", "mug"}, {1, "product", "手冲咖啡壶"}, {1, "qty", "2"}, {1, "sum", "78.00"}, {2, "product", `"Tea", green`},
		{2, "order_total", "79.00"}, {1, "created", "2026-03-02 04:30:00"}, {1, "shipped", ""},
		{1, "name", `'=HYPERLINK("http://evil")`}, {1, "tel", "'+86 138"}, {1, "buyer_note", "'-1\n'@x"},
		{1, "address", "Road 1\nTown"}, {1, "note", "'@note"}, {1, "orderuid", "a\ufffd[2Jb"}, {2, "orderuid", "a\ufffd[2Jb"}, {1, "late", "false"},
	} {
		if g := got(c.row, c.column); g != c.want {
			t.Errorf("row %d, %s: %q, want %q", c.row, c.column, g, c.want)
		}
	}
}

func TestHarmless(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "mug": "mug", "手冲": "手冲", "a=b": "a=b", "2026-03-01": "2026-03-01", "39.00": "39.00", "0.01": "0.01",
		"=1": "'=1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\n=1": "\n'=1", "\u3000=1": "'\u3000=1",
		"＝1": "'＝1", "＠x": "'＠x", "－1": "'－1", "＋1": "'＋1", "\t=1": "\ufffd=1",
		"a;=1": "a;'=1", "a; \u3000+1;b": "a; \u3000'+1;b", "a\n=1": "a\n'=1", "a;b\nc-d": "a;b\nc-d", "a;＝1": "a;'＝1",
		"0": "0", "13800138000": "13800138000", "100000004800129": "100000004800129",
		"9167753880791735584": "'9167753880791735584", "057188886666": "'057188886666",
	} {
		if got := harmless(cell); got != want {
			t.Errorf("%q: got %q, want %q", cell, got, want)
		}
	}
}
