package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
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

// Browser is a Chromium with one tab open, of which the test sees what a
// person would.
type Browser struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// NewBrowser starts Chromium. The test ends it.
func NewBrowser(t testing.TB, w Window) *Browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		Missing(t, "Chromium (Debian: apt-get install chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.WindowSize(int(w.Width), int(w.Height)),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &Browser{t: t, ctx: ctx}
	scheme := "light"
	if w.Dark {
		scheme = "dark"
	}
	// The first call starts the browser and ties it to its context: no time limit here.
	if err := errors.Join(
		call(ctx, network.Enable, network.EnableParams{}),
		call(ctx, cdplog.Enable, cdp.Empty{}),
		call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": w.Language}}),
		call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: w.NoScript}),
		call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: w.Width, Height: w.Height, DeviceScaleFactor: 1, Mobile: w.Width < 600,
		}),
		call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}),
		b.watch(ctx),
	); err != nil {
		t.Fatalf("starting chromium: %v", err)
	}
	return b
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
			b.Screenshot("in-vain")
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

var screenshots = sync.OnceValues(func() (string, error) {
	return os.MkdirTemp("", "shop-pictures")
})

// Screenshot keeps a picture of the page and logs where.
func (b *Browser) Screenshot(name string) {
	b.t.Helper()
	dir, err := screenshots()
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.ctx, Failsafe)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatalf("taking a picture: %v", err)
	}
	file := filepath.Join(dir, strings.ReplaceAll(b.t.Name()+"-"+name, "/", "-")+".png")
	if err := os.WriteFile(file, picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.t.Logf("picture: %s", file)
}

func (b *Browser) state() string {
	where, _ := b.Eval("location.href + '\\n' + document.title + '\\n' + document.body.innerText")
	return where + "\n" + strings.Join(b.Problems(), "\n")
}
