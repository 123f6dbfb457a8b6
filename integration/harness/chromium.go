package harness

import (
	"context"
	"os/exec"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// chromium is the one browser process of a test binary; each [Browser] has a
// profile of its own in it. It starts with the first and ends in [Main].
var chromium struct {
	sync.Mutex
	ctx  context.Context
	stop func()
}

// browserContext returns the context of the browser process.
func browserContext(t testing.TB) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		Missing(t, "Chromium (Debian: apt-get install chromium)")
	}
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.ctx != nil {
		return chromium.ctx
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(Failsafe),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	// The process lives as long as the context of its first call: no time limit.
	if err := chromedp.Do(ctx); err != nil {
		cancel()
		stop()
		t.Fatalf("starting chromium: %v", err)
	}
	chromium.ctx = ctx
	chromium.stop = func() {
		_ = chromedp.Cancel(ctx) // the tests are over: nobody is left to tell
		stop()
	}
	return ctx
}

// endChromium ends the browser process, if one was started.
func endChromium() {
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.stop != nil {
		chromium.stop()
	}
}
