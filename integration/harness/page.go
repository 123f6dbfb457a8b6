package harness

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// PageForm is a form of a page, as a browser without JavaScript sees it.
type PageForm struct {
	Action, Method string
	Values         url.Values
	Names          []string // of the fields, in their order
}

// Forms returns the forms of a page.
func Forms(t testing.TB, page string) []PageForm {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var forms []PageForm
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" {
			forms = append(forms, readForm(n))
		}
	}
	return forms
}

// FormTo returns the form of a page that posts to an action.
func FormTo(t testing.TB, page, action string) PageForm {
	t.Helper()
	for _, f := range Forms(t, page) {
		if f.Action == action && f.Method == http.MethodPost {
			return f
		}
	}
	t.Fatalf("the page has no form to %s:\n%s", action, page)
	return PageForm{}
}

func readForm(n *html.Node) PageForm {
	f := PageForm{Action: attr(n, "action"), Method: strings.ToUpper(attr(n, "method")), Values: url.Values{}}
	for c := range n.Descendants() {
		name := attr(c, "name")
		if c.Type != html.ElementNode || name == "" || !slices.Contains([]string{"input", "textarea", "select"}, c.Data) {
			continue
		}
		f.Names = append(f.Names, name)
		f.Values.Add(name, attr(c, "value"))
	}
	return f
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// Elements counts the elements of a page by their name.
func Elements(t testing.TB, page, name string) int {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			count++
		}
	}
	return count
}
