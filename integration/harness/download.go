package harness

import (
	"context"
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// Download waits for the file that the browser fetches while act runs, and
// returns the name it is given and what is in it.
func (b *Browser) Download(act func()) (name, content string) {
	b.t.Helper()
	dir := b.t.TempDir()
	ctx, cancel := context.WithTimeout(b.ctx, Failsafe)
	defer cancel()
	begun := chromedp.Events(ctx, browser.DownloadWillBegin)
	progress := chromedp.Events(ctx, browser.DownloadProgress)
	yes := true
	if err := call(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior:         browser.SetDownloadBehaviorBehaviorAllowAndName,
		BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID,
		DownloadPath:     dir,
		EventsEnabled:    &yes,
	}); err != nil {
		b.t.Fatalf("allowing downloads: %v", err)
	}
	act()
	for e, err := range begun {
		if err != nil {
			b.t.Fatalf("waiting for the download: %v", err)
		}
		name = e.SuggestedFilename
		break
	}
	for e, err := range progress {
		if err != nil || e.State == browser.DownloadProgressStateCanceled {
			b.t.Fatalf("waiting for the end of the download: %s %v", e.State, err)
		}
		if e.State != browser.DownloadProgressStateCompleted {
			continue
		}
		file, err := os.ReadFile(filepath.Join(dir, e.GUID))
		if err != nil {
			b.t.Fatal(err)
		}
		return name, string(file)
	}
	return name, ""
}
