package payment

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddy-checkout/checkout/internal/catalog"
	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
)

var (
	// ErrNoItems: nothing was chosen.
	ErrNoItems = errors.New("no items")
	// ErrTooManyLines: more than order.MaxLines products.
	ErrTooManyLines = errors.New("too many products in one order")
	// ErrQty: a quantity outside 1 to order.MaxQty.
	ErrQty = errors.New("quantity out of range")
	// ErrTotal: nothing to pay, or more than order.MaxMoney.
	ErrTotal = errors.New("total out of range")
	// ErrUnknownSKU is wrapped where there is no such product.
	ErrUnknownSKU = errors.New("unknown product")
)

// Item is a wish of the buyer.
type Item struct {
	SKU string
	Qty int
}

// Quote is what items cost.
type Quote struct {
	Lines []QuoteLine
	Total order.Money
}

// QuoteLine is one priced item.
type QuoteLine struct {
	order.Line
	Product catalog.Product
}

// Quote prices items from the catalog. A sku that is asked for twice becomes
// one line. Errors are those above.
func (s *Service) Quote(items []Item) (*Quote, error) {
	if len(items) == 0 {
		return nil, ErrNoItems
	}
	q := new(Quote)
	line := make(map[string]int, len(items))
	for _, it := range items {
		if it.Qty < 1 || it.Qty > order.MaxQty {
			return nil, ErrQty
		}
		if i, ok := line[it.SKU]; ok {
			if q.Lines[i].Qty += it.Qty; q.Lines[i].Qty > order.MaxQty {
				return nil, ErrQty
			}
			continue
		}
		p, ok := s.c.Catalog.Product(it.SKU)
		if !ok {
			return nil, fmt.Errorf("%w: %q", ErrUnknownSKU, it.SKU)
		}
		if len(q.Lines) == order.MaxLines {
			return nil, ErrTooManyLines
		}
		line[it.SKU] = len(q.Lines)
		q.Lines = append(q.Lines, QuoteLine{
			Line:    order.Line{SKU: p.SKU, Name: p.Name, Price: p.Price, Qty: it.Qty},
			Product: p,
		})
	}
	for _, l := range q.Lines {
		sum, fits := l.Price.Times(l.Qty)
		if !fits {
			return nil, ErrTotal
		}
		if q.Total, fits = q.Total.Plus(sum); !fits {
			return nil, ErrTotal
		}
	}
	if q.Total == 0 {
		return nil, ErrTotal
	}
	return q, nil
}

// title is the ordername: the products by name, as many as fit.
func (q *Quote) title() string {
	var b strings.Builder
	for i, l := range q.Lines {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(l.Name)
		if l.Qty > 1 {
			b.WriteString(" ×" + strconv.Itoa(l.Qty))
		}
	}
	return gateway.Title(b.String(), gateway.MaxOrderName)
}
