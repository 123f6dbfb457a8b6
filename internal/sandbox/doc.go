// Package sandbox is the gateway's other side of the wire, for tests and first
// steps. It takes no real money.
//
// It is strict: what the real gateway must refuse is refused, with every reason
// at once. For a key that does not match it shows the string that it hashed,
// the token masked, and tries the usual mistakes. It never shows the token or
// the key that would have been right.
//
// # Routes
//
//	POST /pay.action                 the buyer's form (protocol section 1); refusals are pages with 400 or 403
//	GET  /requstOrderStatus.action   order status (section 4)
//	GET  /requstBalance.action       balance (section 5)
//	GET  /cashier?orderid=           where a person pays, pays another amount, pays twice, cancels, lets time out
//	POST /cashier                    its buttons
//	GET  /return?orderid=            records the return (section 3) and redirects the browser to returnurl
//	GET  / and /inspector            every message received and sent, every order, buttons to misbehave
//
// An order that is cancelled, or not paid within [Config.PayTimeout], has
// status 1; the protocol has no status of its own for cancelled. Only verified
// status and balance queries count for the limits on asking, and a refused one
// does not start a new interval. The intervals are exact: a client whose own
// interval is as long may be refused when its first query travelled slowly.
//
// # Control API
//
// Everything a person can do, a test can do over HTTP. Bodies and answers are
// JSON; errors are {"error":"…"} with 400, 404 (no such order), 409 (not in
// this state) or 503. All members but orderid may be left out.
//
//	POST /sandbox/pay       {"orderid":"…","realpay":"0.01","force":true,"wait":"first"}
//	POST /sandbox/notify    {"orderid":"…","count":8,"set":{"realpay":"0.01"},"key":"old","new_payid":true,"wait":"first"}
//	POST /sandbox/cancel    {"orderid":"…"}
//	POST /sandbox/timeout   {"orderid":"…"}
//	POST /sandbox/misbehave {"status":"html","balance":"","notify":"lose"}
//	GET  /sandbox/messages?orderid=&kind=&code=&after=&min=&wait=
//	GET  /sandbox/orders?orderid=
//
// pay: realpay is what is paid (default: paymoney). Only a waiting order can
// be paid, unless force is true: then a closed order is paid late and a paid
// one is paid again with a second payid.
//
// notify sends the notify of the order's last payment again, count times at
// once (default 1, at most [MaxBurst]). set replaces fields by name. key is
// "right" (default: signed over the fields as sent), "old" (the key of the
// genuine notify, so that changed fields do not match), "wrong" (well formed,
// fits nothing) or "none" (field left out). new_payid makes up another payid
// for this notify only; pay with force makes a second payment.
//
// pay and notify answer {"order":{…},"notifies":[{"code":"acknowledged","tries":[message…]}]}.
// With wait "first" the answer comes when the first try of each notify was
// answered (or lost), with "done" when nothing is left to try, by default at once.
//
// misbehave sets what is named and keeps the rest; "" is good behaviour. An
// empty object asks for the settings. status and balance take the names in
// [StatusFaults] and [BalanceFaults], used where a good answer was due. notify
// is "lose" (nothing is sent, nor retried) or "after_return" (a payment at the
// cashier is notified [Config.ReturnDelay] after the browser has returned).
//
// messages answers {"messages":[…]}, newest first, and with wait (seconds, at
// most 60) only when at least min (default 1) match or the time is over. A sent
// notify is listed once per try, when it was answered. kind is pay, notify,
// return, status or balance; code is the first reason's code as in the answer;
// after leaves out messages up to that id.
//
// The buttons of the pages are the same commands as forms. Browsers may post
// them from the sandbox's own pages only.
//
// # Security
//
// The sandbox is for development. It POSTs to the notifyurl of a form that was
// signed with its token, and nowhere else; who knows the token, or reaches the
// control API, can make it repeat such POSTs. It follows no redirects and
// shows the first [ReplyBytes] bytes of the answer. Do not put it on the
// public internet. Orders and messages are kept in memory only, bounded by
// [Config.MaxOrders] and [Config.MaxMessages], the oldest dropped.
package sandbox
