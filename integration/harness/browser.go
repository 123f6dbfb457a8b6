package harness

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// Window says how a browser looks at pages.
type Window struct {
	Width, Height int64
	Language      string // of Accept-Language
	NoScript      bool   // JavaScript is off
	Dark          bool
}

// The widths that pages are looked at in.
var (
	Desktop = Window{Width: 1280, Height: 900, Language: "en"}
	Phone   = Window{Width: 390, Height: 844, Language: "zh-CN"}
)

// Browser is a tab of Chromium, in a profile of its own, of which the test
// sees what a person would.
type Browser struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string
	asked    []string // the URLs of requests
}

// NewBrowser opens a browser that nobody has used. The test ends it.
func NewBrowser(t testing.TB, w Window) *Browser {
	t.Helper()
	ctx, _ := chromedp.NewContext(browserContext(t), chromedp.WithNewBrowserContext())
	b := &Browser{t: t, ctx: ctx}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("closing the browser: %v", err)
		}
	})
	// The first call ties the tab to its context: no time limit here.
	if err := errors.Join(
		call(ctx, network.Enable, network.EnableParams{}),
		call(ctx, cdplog.Enable, cdp.Empty{}),
		call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": w.Language}}),
		call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: w.NoScript}),
		look(ctx, w),
		b.watch(ctx),
	); err != nil {
		t.Fatalf("opening a browser: %v", err)
	}
	return b
}

// look sets the size and the colour scheme.
func look(ctx context.Context, w Window) error {
	scheme := "light"
	if w.Dark {
		scheme = "dark"
	}
	return errors.Join(
		call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: w.Width, Height: w.Height, DeviceScaleFactor: 1, Mobile: w.Width < 600,
		}),
		call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			// Without motion, colours are at once what they come to.
			Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			},
		}),
	)
}

// Look changes the size and the colour scheme of the window; the page stays.
func (b *Browser) Look(w Window) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Failsafe)
	defer cancel()
	if err := look(ctx, w); err != nil {
		b.t.Fatalf("changing the window: %v", err)
	}
}

// AllowScripts turns scripts on or off for the pages that come.
func (b *Browser) AllowScripts(on bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Failsafe)
	defer cancel()
	if err := call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}); err != nil {
		b.t.Fatal(err)
	}
}

func call[P, R any](ctx context.Context, command cdp.Command[P, R], params P) error {
	_, err := chromedp.Call(ctx, command, params)
	return err
}

// watch keeps what a developer would see in red, and every dialog.
func (b *Browser) watch(ctx context.Context) error {
	return chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *cdplog.EventEntryAdded:
			// Browsers ask every site for this picture; not to have one is no mistake.
			if e.Entry.Level == cdplog.EntryLevelError && !strings.HasSuffix(e.Entry.URL, "/favicon.ico") {
				b.problem(e.Entry.Text + " " + e.Entry.URL)
			}
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
				b.problem("the page's script says: " + said(e.Args))
			}
		case *network.EventRequestWillBeSent:
			b.mu.Lock()
			b.asked = append(b.asked, e.Request.URL)
			b.mu.Unlock()
		case *runtime.EventExceptionThrown:
			text := e.ExceptionDetails.Text
			if e.ExceptionDetails.Exception != nil {
				text += " " + e.ExceptionDetails.Exception.Description
			}
			b.problem(text)
		case *page.EventJavascriptDialogOpening:
			b.problem("a dialog opened: " + e.Message)
			go func() { _ = call(ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true}) }()
		}
	})
}

func said(args []*runtime.RemoteObject) string {
	var words []string
	for _, a := range args {
		words = append(words, string(a.Value)+a.Description)
	}
	return strings.Join(words, " ")
}

func (b *Browser) problem(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, text)
}

// Problems returns what the browser complained of: refused by a policy, failed
// to load, thrown by a script.
func (b *Browser) Problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.problems...)
}

// TakeProblems is Problems, and forgets them.
func (b *Browser) TakeProblems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	problems := b.problems
	b.problems = nil
	return problems
}

// Asked returns the URLs of all requests so far, those of scripts and pictures
// among them.
func (b *Browser) Asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.asked...)
}

func (b *Browser) run(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Failsafe)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v\nat %s", what, err, b.state())
	}
}

// Open goes to a page.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.run("opening "+url, chromedp.Navigate(url))
}

// Eval returns the value of a JavaScript expression as text. It works on pages
// whose own scripts are off.
func (b *Browser) Eval(expression string) (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, Failsafe)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[any](expression))
	return fmt.Sprint(value), err
}

// Await waits until an expression is true on a page that is loaded. Pages may
// change meanwhile.
func (b *Browser) Await(what, expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(Failsafe); ; time.Sleep(50 * time.Millisecond) {
		// An error only means that the page is just being left.
		if value, err := b.Eval("document.readyState === 'complete' && !!(" + expression + ")"); err == nil && value == "true" {
			return
		}
		if time.Now().After(deadline) {
			b.picture(cmp.Or(os.Getenv("CHECKOUT_SCREENSHOTS"), os.TempDir()), "in-vain")
			b.t.Fatalf("waited in vain for %s\nat %s", what, b.state())
		}
	}
}

// AwaitText waits until the page shows a text.
func (b *Browser) AwaitText(text string) {
	b.t.Helper()
	b.Await(fmt.Sprintf("the text %q", text), fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// Click clicks on the first element that a CSS selector finds, once it is
// there.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.Await(selector, fmt.Sprintf("document.querySelector(%q)", selector))
	b.run("clicking "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Type replaces what stands in a field.
func (b *Browser) Type(selector, text string) {
	b.t.Helper()
	b.Await(selector, fmt.Sprintf("document.querySelector(%q)", selector))
	if _, err := b.Eval(fmt.Sprintf("document.querySelector(%q).focus(), document.querySelector(%q).select()", selector, selector)); err != nil {
		b.t.Fatal(err)
	}
	b.Press(text)
}

// Press presses keys, as chromedp/kb names them.
func (b *Browser) Press(keys string) {
	b.t.Helper()
	b.run("pressing a key", chromedp.KeyEvent(keys))
}

// TabTo presses the tab key until the element that a selector finds has the
// focus, as a person without a mouse does.
func (b *Browser) TabTo(selector string) {
	b.t.Helper()
	b.Await(selector, fmt.Sprintf("document.querySelector(%q)", selector))
	for range 60 {
		b.Press("\t")
		if focused, err := b.Eval(fmt.Sprintf("document.activeElement.matches(%q)", selector)); err == nil && focused == "true" {
			return
		}
	}
	b.t.Fatalf("the tab key does not lead to %s\nat %s", selector, b.state())
}

// Overflows reports whether the page is wider than the window.
func (b *Browser) Overflows() bool {
	b.t.Helper()
	value, err := b.Eval("document.documentElement.scrollWidth > document.documentElement.clientWidth")
	if err != nil {
		b.t.Fatal(err)
	}
	return value == "true"
}

// NewTab waits for a tab that the page opens while act runs, and returns it.
func (b *Browser) NewTab(act func()) *Browser {
	b.t.Helper()
	opened := chromedp.WaitNewTarget(b.ctx, func(*target.Info) bool { return true })
	act()
	select {
	case id := <-opened:
		ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
		b.t.Cleanup(cancel)
		tab := &Browser{t: b.t, ctx: ctx}
		if err := tab.watch(ctx); err != nil {
			b.t.Fatalf("following the new tab: %v", err)
		}
		return tab
	case <-time.After(Failsafe):
		b.t.Fatalf("no tab opened\nat %s", b.state())
		return nil
	}
}

// EvalWith returns the value of a JavaScript expression as text; a promise is
// awaited. Both it and a library that is run before live in a world apart, as
// long as the page is there: they see the page, but the page does not see
// them, and its policy does not govern them.
func (b *Browser) EvalWith(library, expression string) (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, Failsafe)
	defer cancel()
	tree, err := chromedp.Call(ctx, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		return "", err
	}
	world, err := chromedp.Call(ctx, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: tree.FrameTree.Frame.ID, WorldName: "test"})
	if err != nil {
		return "", err
	}
	yes := true
	got, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{
		ContextID: world.ExecutionContextID, Expression: library + ";\n" + expression, AwaitPromise: &yes, ReturnByValue: &yes,
	})
	if err != nil {
		return "", err
	}
	if e := got.ExceptionDetails; e != nil {
		return "", fmt.Errorf("%s: %s", e.Text, said([]*runtime.RemoteObject{e.Exception}))
	}
	var value any
	if err := json.Unmarshal(got.Result.Value, &value); err != nil {
		return "", err
	}
	return fmt.Sprint(value), nil
}

// Screenshot keeps a picture of the page in the directory that
// CHECKOUT_SCREENSHOTS names; without one, none is taken.
func (b *Browser) Screenshot(name string) {
	b.t.Helper()
	if dir := os.Getenv("CHECKOUT_SCREENSHOTS"); dir != "" {
		b.picture(dir, name)
	}
}

func (b *Browser) picture(dir, name string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Failsafe)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Errorf("taking a picture: %v", err)
		return
	}
	file := filepath.Join(dir, strings.ReplaceAll(b.t.Name()+"-"+name, "/", "-")+".png")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(file, picture, 0o644)); err != nil {
		b.t.Errorf("keeping a picture: %v", err)
		return
	}
	b.t.Logf("picture: %s", file)
}

func (b *Browser) state() string {
	where, _ := b.Eval("location.href + '\\n' + document.title + '\\n' + document.body.innerText")
	return where + "\n" + strings.Join(b.Problems(), "\n")
}
