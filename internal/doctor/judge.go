package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// minBody is what checkout itself takes; a notify is much smaller.
const (
	minBody       = 16 << 10
	minNotifyBody = 2 << 10
)

// judgeNotify turns what became of the gateway's notify into findings.
func (x *examination) judgeNotify(w *walk) {
	sent := w.request.method + " " + w.request.path
	for _, o := range w.outcomes {
		f := Finding{Shop: w.shop.name(), Where: w.place(o), Severity: Error}
		if o.st.doubt != "" && (w.reaches() || o.kind == authAsked) {
			f.Severity = Warning
		}
		switch o.kind {
		case reached:
			x.judgeArrival(w, o)
			continue
		case authAsked:
			f.Code = "notify-auth"
			f.Wrong = fmt.Sprintf("%s asks for a login before %s reaches the shop. The gateway has none, so its notifies are refused and nobody learns of the payments.", o.what, sent)
			f.Right = fmt.Sprintf("@private not path %s/notify\n%s @private …", w.shop.Path, o.what)
		case redirected:
			if o.what == "automatic HTTPS" && w.shop.public() {
				continue // origin-http says it
			}
			f.Code = "notify-redirect"
			f.Wrong = fmt.Sprintf("%s redirects %s. The gateway's server need not follow that, and if it does, its POST may become a GET: its notifies are lost.", o.what, sent)
			f.Right = fmt.Sprintf("Write as origin the address that it redirects to, or leave the shop out of it:\n\n@pages not path %[1]s %[1]s/*\nredir @pages …", w.shop.Path)
			if o.what == "automatic HTTPS" {
				f.Right = "origin https://" + w.shop.origin.Hostname()
			}
		case strange:
			f.Code, f.Severity = "notify-unknown", Note
			f.Wrong = fmt.Sprintf("The handler %s comes before the shop and is not known to doctor. If it refuses or answers %s, payments are lost.", o.what, sent)
		case emptied:
			f.Code = "notify-body"
			f.Wrong = "request_body set replaces what the gateway sends before the shop sees it; every notify is refused."
			f.Right = fmt.Sprintf("@pages not path %[1]s %[1]s/*\nrequest_body @pages …", w.shop.Path)
		default:
			f.Code, f.Wrong, f.Right = w.swallowed(o, sent)
		}
		if o.st.doubt != "" {
			f.Wrong += " Whether it comes to that depends on " + o.st.doubt + "; doctor cannot tell without a real request."
		}
		x.add(f)
	}
}

func (w *walk) place(o outcome) Where {
	if o.at == "" {
		return w.shop.where
	}
	return Where{Site: o.site, Server: w.server.name, Route: o.at}
}

// swallowed says why a request ended elsewhere.
func (w *walk) swallowed(o outcome, sent string) (code, wrong, right string) {
	answer := o.what + " answers instead"
	if o.kind == otherShop {
		answer = "the shop " + o.what + " answers instead"
	}
	if o.kind == fellOff {
		answer = "nothing answers, and Caddy says 200 with nothing in it, which the gateway takes for booked"
	}
	apart := "checkout {\n\t…\n}\nhandle {\n\t# everything else of the site\n}"
	switch {
	case o.st.rewriteAt != "":
		right = "Put the rest of the site into a handle block, behind checkout:\n\n" + apart
		if strings.HasPrefix(o.st.rewriteBy, "handle_path") {
			right = "Let the path be as it is; checkout needs no block around it:\n\n" + apart
		}
		return "notify-rewrite",
			fmt.Sprintf("%s turns %s into %s before the shop sees it; %s.", o.st.rewriteBy, sent, shown(o.st.path), answer), right
	case o.kind != otherShop && !w.x.standsIn(w.shop, o.site) && o.site != "":
		return "origin-unserved",
			fmt.Sprintf("%s is served by a site in which this shop does not stand; %s. The shop stands in %s.", w.shop.Origin, answer, w.shop.where.Site),
			"Put the checkout block into the site of its origin, or write as origin the address of the site that it stands in."
	case o.kind == otherShop:
		return "notify-swallowed",
			fmt.Sprintf("%s belongs to this shop, but %s: both have the path %s on one site.", sent, answer, w.shop.Path),
			"Give one of them another address:\n\npath /checkout2"
	case o.st.skipped != "":
		return "notify-matcher",
			fmt.Sprintf("The matcher %s keeps %s away from the checkout block; %s.", o.st.skipped, sent, answer),
			"Write checkout without a matcher; it leaves everything alone that is not below its path:\n\ncheckout {\n\t…\n}"
	case o.kind == fellOff:
		return "notify-swallowed",
			fmt.Sprintf("%s does not come to the shop: %s.", sent, answer),
			"Put the block directly into the site:\n\n" + apart
	}
	return "notify-swallowed",
		fmt.Sprintf("%s comes before the shop and answers %s.", o.what, sent),
		"Put checkout before it:\n\nroute {\n\tcheckout {\n\t\t…\n\t}\n\t" + strings.Fields(o.what)[0] + " …\n}"
}

// judgeArrival judges in which form a notify arrived.
func (x *examination) judgeArrival(w *walk, o outcome) {
	if o.st.method != w.request.method || (o.st.path != w.request.path && o.st.path != unknown) {
		x.add(Finding{
			Code: "notify-rewrite", Severity: Error, Shop: w.shop.name(),
			Where: w.place(outcome{at: o.st.rewriteAt, site: o.site}),
			Wrong: fmt.Sprintf("%s turns %s %s into %s %s, which is no notify: the shop refuses it.", o.st.rewriteBy, w.request.method, w.request.path, shown(o.st.method), shown(o.st.path)),
			Right: fmt.Sprintf("@pages not path %[1]s %[1]s/*\n%[2]s @pages …", w.shop.Path, strings.Fields(o.st.rewriteBy)[0]),
		})
	}
	if o.st.limit == 0 || o.st.limit >= minBody {
		return
	}
	f := Finding{
		Code: "notify-body", Severity: Warning, Shop: w.shop.name(),
		Where: w.place(outcome{at: o.st.limitAt, site: o.site}),
		Wrong: fmt.Sprintf("request_body lets %s through to the shop, which takes up to 16KiB. Large order forms are refused.", counted(int(o.st.limit), "byte")),
		Right: "request_body {\n\tmax_size 16KiB\n}",
	}
	if o.st.limit < minNotifyBody {
		f.Severity = Error
		f.Wrong = fmt.Sprintf("request_body lets only %s through to the shop. The gateway's notifies can be larger; those are refused.", counted(int(o.st.limit), "byte"))
	}
	x.add(f)
}

// judgeBuyer reports what keeps buyers from the shop and did not already keep
// the notify from it. Logins are the merchant's affair.
func (x *examination) judgeBuyer(w, notify *walk) {
	for _, o := range w.outcomes {
		if o.st.doubt != "" || !slices.Contains([]string{answered, redirected, otherShop, fellOff}, o.kind) {
			continue
		}
		if o.kind == redirected && w.request.method == "GET" {
			continue // browsers follow
		}
		if slices.ContainsFunc(notify.outcomes, func(n outcome) bool { return n.kind == o.kind && n.at == o.at }) {
			continue
		}
		sent := w.request.method + " " + w.request.path
		_, wrong, right := w.swallowed(o, sent)
		if o.kind == redirected {
			wrong = fmt.Sprintf("%s redirects %s, and the browser then asks for something else.", o.what, sent)
			right = fmt.Sprintf("@pages not path %[1]s %[1]s/*\nredir @pages …", w.shop.Path)
		}
		x.add(Finding{
			Code: "buyer-blocked", Severity: Warning, Shop: w.shop.name(), Where: w.place(o),
			Wrong: wrong + " Buyers cannot use the shop.", Right: right,
		})
	}
}

// shown writes a value of a state for people.
func shown(v string) string {
	if v == unknown {
		return "something else"
	}
	return v
}

func joined(list []string) string { return strings.Join(list, " and ") }
