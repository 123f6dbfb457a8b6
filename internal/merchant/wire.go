package merchant

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/store"
)

// OrderPage is a page of orders, newest first, without history.
type OrderPage struct {
	Orders []order.Order `json:"orders"`
	Next   string        `json:"next"` // cursor of the next page; empty at the end
}

// DeliveryPage is a page of deliveries, newest first.
type DeliveryPage struct {
	Deliveries []store.Delivery `json:"deliveries"`
	Next       string           `json:"next"` // cursor of the next page; empty at the end
}

// OrphanPage is a page of verified notifies that fit no order, newest first.
type OrphanPage struct {
	Orphans []store.Orphan `json:"orphans"`
	Next    string         `json:"next"` // cursor of the next page; empty at the end
}

// BalanceList is what the merchant accounts of all shops hold.
type BalanceList struct {
	Balances []Balance `json:"balances"`
}

// Refreshed is what a question to the gateway gave.
type Refreshed struct {
	Asked bool         `json:"asked"` // false: it was asked less than a minute ago
	Order *order.Order `json:"order"` // as it stands now
}

// Decision is who decides something about an order, and why.
type Decision struct {
	Who    string `json:"who"`    // a person's name for the history, at most 100 bytes; default: admin
	Reason string `json:"reason"` // kept in the history as one line of at most 500 bytes; required
}

// BackupFile says where a backup goes.
type BackupFile struct {
	File string `json:"file"` // an absolute path on the server, of a file that does not exist
}

// Done says that something was done.
type Done struct {
	Done bool `json:"done"`
}

// DeliveryStates are all states of a delivery.
var DeliveryStates = []string{store.DeliveryPending, store.DeliveryDone, store.DeliveryFailed, store.DeliveryDisabled}

// ParseDeliveryState reads the state parameter of a list of deliveries: none
// or one of DeliveryStates. Errors wrap ErrQuery.
func ParseDeliveryState(values []string) (string, error) {
	switch {
	case len(values) == 0 || (len(values) == 1 && values[0] == ""):
		return "", nil
	case len(values) > 1:
		return "", fmt.Errorf("%w: state is there %d times", ErrQuery, len(values))
	case !slices.Contains(DeliveryStates, values[0]):
		return "", fmt.Errorf("%w: unknown delivery state %q: use %s", ErrQuery, values[0], strings.Join(DeliveryStates, ", "))
	}
	return values[0], nil
}
