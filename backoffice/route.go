package backoffice

import (
	"net/url"
	"strings"

	"github.com/caddy-checkout/checkout/internal/order"
)

// route is what a path asks for. It is told by the end of the path alone, so
// that the pages need not know the prefix that they are below.
type route struct {
	name       string // empty: nothing
	id, action string
	up         string // the relative link to the overview
}

func parseRoute(path string) route {
	segments := strings.Split(path, "/")
	at := func(fromEnd int) string {
		if fromEnd > len(segments) {
			return ""
		}
		return segments[len(segments)-fromEnd]
	}
	last := at(1)
	switch {
	case at(3) == "orders" && order.ValidID(at(2)):
		switch last {
		case "confirm", "shipped", "refunded", "refresh":
			return route{name: "decide", id: at(2), action: last, up: "../../"}
		}
	case at(3) == "deliveries" && last == "redeliver":
		return route{name: "redeliver", id: at(2), up: "../../"}
	case at(2) == "orders" && order.ValidID(last):
		return route{name: "order", id: last, up: "../"}
	}
	switch last {
	case "":
		return route{name: "overview", up: "./"}
	case "orders", "deliveries", "orphans", "charts", "live":
		return route{name: last, up: "./"}
	case "orders.csv":
		return route{name: "csv", up: "./"}
	}
	return route{}
}

// here is a link to a page of the office with a query, which may be empty.
func (r route) here(page string, query url.Values) string {
	if len(query) == 0 {
		return r.up + page
	}
	return r.up + page + "?" + query.Encode()
}
