package sign

// Fields are the names of a message's signed fields, in signing order.
type Fields []string

// The signed fields of every message (protocol sections 1, 2, 4 and 5). This
// is the one table of them.
var (
	Pay     = Fields{"uid", "orderid", "ordername", "paymoney", "orderuid", "paytype", "notifyurl", "returnurl", "orderinfo"}
	Notify  = Fields{"payid", "orderid", "orderuid", "paymoney", "realpay"}
	Status  = Fields{"orderid", "uid"}
	Balance = Fields{"uid", "reqtime"}
)
