package merchant

import (
	"context"
	"encoding/csv"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

var csvHeader = []string{
	"order", "shop", "state", "late", "test", "created", "paid", "shipped", "refunded",
	"sku", "product", "price", "qty", "sum", "order_total", "payid", "realpay",
	"name", "email", "tel", "address", "buyer_note", "orderuid", "note",
}

// WriteCSV writes the orders that fit f, newest first, one row for each line
// of an order, times in loc. It starts with a byte order mark, so that
// spreadsheet programs take it as UTF-8, and makes cells harmless that they
// would take as a formula. Memory stays flat.
func (d *Desk) WriteCSV(ctx context.Context, w io.Writer, f store.Filter, loc *time.Location) error {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return err
	}
	c := csv.NewWriter(w)
	c.UseCRLF = true
	if err := c.Write(csvHeader); err != nil {
		return err
	}
	row := make([]string, 0, len(csvHeader))
	err := d.Store.Each(ctx, f, func(o *order.Order) error {
		for _, l := range o.Lines {
			row = appendRow(row[:0], o, l, loc)
			if err := c.Write(row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.Flush()
	return c.Error()
}

func appendRow(row []string, o *order.Order, l order.Line, loc *time.Location) []string {
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.In(loc).Format(time.DateTime)
	}
	var payids, realpays []string
	for _, p := range o.Payments {
		payids, realpays = append(payids, p.PayID), append(realpays, p.RealPay)
	}
	row = append(row,
		o.ID, o.Shop, o.State.String(), strconv.FormatBool(o.Late), strconv.FormatBool(o.Test),
		at(o.CreatedAt), at(o.PaidAt), at(o.ShippedAt), at(o.RefundedAt),
		l.SKU, l.Name, l.Price.String(), strconv.Itoa(l.Qty), l.Sum().String(), o.Total.String(),
		strings.Join(payids, " "), strings.Join(realpays, " "),
		o.Buyer.Name, o.Buyer.Email, o.Buyer.Tel, o.Buyer.Address, o.Buyer.Note, o.OrderUID, o.Note,
	)
	for i, cell := range row {
		row[i] = harmless(cell)
	}
	return row
}

// harmless puts an apostrophe before what a spreadsheet program would take as
// a formula (Asian editions take full-width signs for one, too), or as a number
// of which it keeps no more than 15 digits and no zeros in front, and replaces
// control characters. What follows a semicolon or a line break may become a
// cell of its own: LibreOffice splits there, and so does Excel in most of Europe.
func harmless(cell string) string {
	cell = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return utf8.RuneError
		}
		return r
	}, cell)
	cell = innerFormula.ReplaceAllString(cell, "$1'$2")
	first, _ := utf8.DecodeRuneInString(strings.TrimSpace(cell))
	if strings.ContainsRune("=+-@＝＋－＠", first) || losesDigits(cell) {
		return "'" + cell
	}
	return cell
}

var innerFormula = regexp.MustCompile(`([;\n][\s\p{Z}]*)([=+\-@＝＋－＠])`)

func losesDigits(cell string) bool {
	if strings.Trim(cell, "0123456789") != "" {
		return false
	}
	return len(cell) > 15 || (len(cell) > 1 && cell[0] == '0')
}
