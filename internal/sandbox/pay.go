package sandbox

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-checkout/checkout/sign"
)

// servePay takes the buyer's form (protocol section 1) and shows the cashier.
func (g *Gateway) servePay(w http.ResponseWriter, r *http.Request) {
	form, v := readBody(r)
	m := &message{Kind: kindPay, Fields: fieldsOf(form, payRules), OrderID: form.Get("orderid")}
	var values map[string]string
	if v == nil {
		values, v = check(form, payRules)
		v = append(v, g.checkPay(values)...)
	}
	if v != nil {
		g.refuse(w, r, m, http.StatusBadRequest, v)
		return
	}

	if m.Hashed, v = g.authenticate(g.c.SignPay, values); v != nil {
		g.refuse(w, r, m, http.StatusForbidden, v)
		return
	}
	again, v := g.enter(values)
	if v != nil {
		g.refuse(w, r, m, http.StatusBadRequest, v)
		return
	}
	m.OK, m.HTTP, m.Verdict = true, http.StatusSeeOther, because("accepted")
	if again {
		m.Verdict = because("shown_again")
	}
	g.record(m)
	http.Redirect(w, r, cashierURL(values["orderid"]), http.StatusSeeOther)
}

// checkPay checks what is particular to the fields of a pay request, leaving
// out those which are not there.
func (g *Gateway) checkPay(values map[string]string) verdict {
	for _, value := range values {
		if strings.Contains(value, g.c.Token) {
			return because("token_sent")
		}
	}
	var v verdict
	if p := values["paytype"]; p != "" && p != payTypeAlipay {
		v = append(v, because("paytype", p)...)
	}
	amount := values["paymoney"]
	fen, ok := parseFen(amount)
	switch {
	case amount == "":
	case !ok:
		v = append(v, because("amount", amount)...)
	case fen == 0:
		v = append(v, because("amount_zero")...)
	}
	for _, name := range []string{"notifyurl", "returnurl"} {
		if values[name] == "" {
			continue
		}
		u, err := url.Parse(values[name])
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
			v = append(v, because("url", name, values[name])...)
		}
	}
	return v
}

// enter notes a new order. The same form again is no new order; an orderid
// with other values is refused.
func (g *Gateway) enter(values map[string]string) (again bool, v verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()

	e, ok := g.book.byID[values["orderid"]]
	if !ok {
		e = &entry{values: values, created: g.c.Now()}
		g.book.add(e)
		return false, nil
	}
	for _, name := range sign.Pay {
		if e.values[name] != values[name] {
			v = append(v, because("reused", name)...)
		}
	}
	return true, v
}

// refuse shows every reason on a page.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, m *message, status int, v verdict) {
	m.HTTP, m.Verdict = status, v
	m = g.record(m)
	p := g.page(r, "refused")
	p.Message, p.Signed = m, g.c.SignPay
	g.render(w, status, p)
}

func cashierURL(orderid string) string {
	return "/cashier?orderid=" + url.QueryEscape(orderid)
}
