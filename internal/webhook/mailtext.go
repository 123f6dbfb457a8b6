package webhook

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
	"unicode"

	"github.com/caddy-checkout/checkout/internal/order"
)

// MailText is what mail templates see. All texts are single lines, so that
// what a buyer wrote cannot pass for a line of ours.
//
// The templates are merchant.zh.txt, merchant.en.txt, buyer.zh.txt and
// buyer.en.txt, in the syntax of text/template. The first line is the subject,
// what follows the mail.
type MailText struct {
	Type     string // "checkout.paid", "checkout.review" or "checkout.second_payment"
	Shop     string // its name
	ID       string // of the order
	Late     bool   // paid after it had expired
	Test     bool   // no real money
	Total    string // yuan, like "39.00"
	Lines    []MailLine
	Name     string // the buyer's, like the four below; empty if not asked for
	Email    string
	Tel      string
	Address  string
	Message  string
	PayID    string // the gateway's number of the payment; empty if unknown
	RealPay  string // yuan, as the gateway wrote it
	Note     string // why the order is in review, or what happened to a paid one
	Created  string // like "2006-01-02 15:04:05", in the shop's time zone
	Paid     string // the same; empty if not paid
	TimeZone string // of these, like "CST"
}

// MailLine is one product in [MailText].
type MailLine struct {
	SKU   string
	Name  string
	Price string // of one
	Qty   int
	Sum   string
}

const (
	roleMerchant = "merchant"
	roleBuyer    = "buyer"
)

//go:embed templates/*.txt
var builtin embed.FS

// templates are parsed templates by file name.
type templates map[string]*template.Template

// loadTemplates parses the built-in templates and those of dir, and tries each
// out, so that a wrong field name is found now and not on the first order.
func loadTemplates(dir string) (templates, error) {
	t := make(templates)
	if err := t.add(builtin, "templates", "the program"); err != nil {
		return nil, err
	}
	if dir == "" {
		return t, nil
	}
	own := make(templates)
	if err := own.add(os.DirFS(dir), ".", filepath.Clean(dir)); err != nil {
		return nil, err
	}
	for name, tmpl := range own {
		if t[name] == nil {
			return nil, fmt.Errorf("mail template %s: unknown name; use merchant.zh.txt, merchant.en.txt, buyer.zh.txt or buyer.en.txt", filepath.Join(dir, name))
		}
		t[name] = tmpl
	}
	if len(own) == 0 {
		return nil, fmt.Errorf("mail templates: no .txt file in %s", dir)
	}
	return t, nil
}

func (t templates) add(fsys fs.FS, dir, label string) error {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return fmt.Errorf("reading mail templates in %s: %w", label, err)
	}
	for _, e := range entries {
		if e.IsDir() || filepath.Ext(e.Name()) != ".txt" {
			continue
		}
		text, err := fs.ReadFile(fsys, strings.TrimPrefix(dir+"/"+e.Name(), "./"))
		if err != nil {
			return fmt.Errorf("reading mail template in %s: %w", label, err)
		}
		tmpl, err := template.New(filepath.Join(label, e.Name())).Option("missingkey=error").Parse(string(text))
		if err != nil {
			return fmt.Errorf("parsing mail template: %w", err)
		}
		for _, typ := range []string{TypePaid, TypeReview, TypeSecondPayment} {
			sample := MailText{Type: typ, Shop: "shop", ID: "id", Lines: []MailLine{{SKU: "sku"}}}
			if _, _, err := execute(tmpl, sample); err != nil {
				return err
			}
		}
		t[e.Name()] = tmpl
	}
	return nil
}

// render returns subject and body in the language, English for unknown ones.
func (t templates) render(role, language string, x MailText) (subject, body string, err error) {
	if language != "zh" {
		language = "en"
	}
	return execute(t[role+"."+language+".txt"], x)
}

func execute(tmpl *template.Template, x MailText) (subject, body string, err error) {
	var b strings.Builder
	if err := tmpl.Execute(&b, x); err != nil {
		return "", "", fmt.Errorf("executing mail template: %w", err)
	}
	subject, body, _ = strings.Cut(strings.TrimSpace(b.String()), "\n")
	subject = oneLine(subject)
	if subject == "" {
		return "", "", fmt.Errorf("executing mail template: %s: its first line, the subject, is empty", tmpl.Name())
	}
	return subject, strings.TrimSpace(body) + "\n", nil
}

// text is the event in words.
func (m *Mail) text(e *Event) MailText {
	d := &e.Data
	x := MailText{
		Type: e.Type, Shop: oneLine(m.c.ShopName), ID: d.ID, Late: d.Late, Test: d.Test, Total: d.Total.String(),
		Name: oneLine(d.Buyer.Name), Email: oneLine(d.Buyer.Email), Tel: oneLine(d.Buyer.Tel),
		Address: oneLine(d.Buyer.Address), Message: oneLine(d.Buyer.Note),
		PayID: oneLine(d.PayID), RealPay: oneLine(d.RealPay), Note: oneLine(d.Note),
		Created: m.when(d.CreatedAt), Paid: m.when(d.PaidAt), TimeZone: d.CreatedAt.In(m.c.Location).Format("MST"),
	}
	for _, l := range d.Lines {
		x.Lines = append(x.Lines, MailLine{
			SKU: oneLine(l.SKU), Name: oneLine(l.Name), Price: l.Price.String(),
			Qty: l.Qty, Sum: order.Line(l).Sum().String(),
		})
	}
	return x
}

func (m *Mail) when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(m.c.Location).Format(time.DateTime)
}

// oneLine turns runs of spaces, line breaks and control characters into one
// space.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	}), " ")
}
