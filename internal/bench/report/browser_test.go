package report

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// lookScript tells of the page as it is shown.
const lookScript = `(() => {
	const all = [...document.querySelectorAll('figure')];
	const shown = f => [...f.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().width > 0);
	const empty = all.filter(f => {
		const s = shown(f);
		if (s.length != 1) return true;
		const paths = [...s[0].querySelectorAll('path')].map(p => p.getBoundingClientRect()).filter(r => r.width + r.height > 5);
		return paths.length < 5 || s[0].getBoundingClientRect().height < 100;
	}).map(f => f.id);
	const text = getComputedStyle(shown(all[0])[0].querySelector('text'));
	return {figures: all.length, empty, wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
		page: getComputedStyle(document.body).backgroundColor, text: text.fill,
		size: parseFloat(text.fontSize) * shown(all[0])[0].getScreenCTM().a};
})()`

// looked is what it tells.
type looked struct {
	Figures int      `json:"figures"`
	Empty   []string `json:"empty"`
	Wide    float64  `json:"wide"`
	Page    string   `json:"page"`
	Text    string   `json:"text"`
	Size    float64  `json:"size"`
}

func TestInABrowser(t *testing.T) {
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && browser == "" {
			browser = path
		}
	}
	if browser == "" {
		t.Skip("neither chromium nor google-chrome is installed")
	}
	r, err := Make(written(t, samples(t)...))
	if err != nil {
		t.Fatal(err)
	}
	page, err := r.Write(filepath.Join(t.TempDir(), "report"))
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.WSURLReadTimeout(2*time.Minute))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	complaints := listen(ctx, "file://"+page)
	for _, width := range []int64{1280, 360} {
		for scheme, want := range map[string][2]string{"light": {"rgb(255, 255, 255)", "rgb(28, 32, 36)"}, "dark": {"rgb(21, 24, 28)", "rgb(232, 234, 237)"}} {
			t.Run(fmt.Sprintf("%d pixels, %s", width, scheme), func(t *testing.T) {
				l, err := show(ctx, page, width, scheme)
				if err != nil {
					t.Fatal(err)
				}
				if l.Figures < 30 || len(l.Empty) > 0 {
					t.Errorf("%d figures, of these without a drawing: %q", l.Figures, l.Empty)
				}
				if l.Wide > 0 {
					t.Errorf("the page is %v pixels wider than the window", l.Wide)
				}
				if l.Page != want[0] || l.Text != want[1] {
					t.Errorf("text %s on %s, want %s on %s", l.Text, l.Page, want[1], want[0])
				}
				if l.Size < 9 {
					t.Errorf("text in figures is %.1f pixels high", l.Size)
				}
			})
		}
	}
	if said := complaints(); len(said) > 0 {
		t.Errorf("the browser says: %s", strings.Join(said, "; "))
	}
}

// show loads the page in a window that wide, for a reader who likes that scheme, and looks at it.
func show(ctx context.Context, page string, width int64, scheme string) (l looked, err error) {
	like := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	for _, a := range []chromedp.Action[chromedp.Void]{
		chromedp.EmulateViewport(width, 900),
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, like)
			return err
		}),
		chromedp.Navigate("file://" + page),
	} {
		if err := do(ctx, a); err != nil {
			return l, err
		}
	}
	return chromedp.Run(ctx, chromedp.Evaluate[looked](lookScript))
}

func do(ctx context.Context, a chromedp.Action[chromedp.Void]) error {
	_, err := chromedp.Run(ctx, a)
	return err
}

// listen notes what a page must not do: ask for anything but itself, complain, throw. The
// function returned tells what it did, and fails if not even the page was asked for.
func listen(ctx context.Context, page string) func() []string {
	var mu sync.Mutex
	var said []string
	asked := 0
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, fmt.Sprintf(format, args...))
	}
	hear(ctx, network.RequestWillBeSent, func(e network.EventRequestWillBeSent) {
		if u := e.Request.URL; u != page && !strings.HasPrefix(u, "data:") {
			say("request of %s", u)
		} else if u == page {
			mu.Lock()
			asked++
			mu.Unlock()
		}
	})
	hear(ctx, log.EntryAdded, func(e log.EventEntryAdded) { say("%s", e.Entry.Text) })
	hear(ctx, runtime.ConsoleAPICalled, func(e runtime.EventConsoleAPICalled) { say("console: %v", e.Type) })
	hear(ctx, runtime.ExceptionThrown, func(e runtime.EventExceptionThrown) { say("%s", e.ExceptionDetails.Text) })
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		if asked == 0 {
			return append(said, "nothing was heard")
		}
		return said
	}
}

// hear calls the function at each event.
func hear[E any](ctx context.Context, of cdp.Event[E], do func(E)) {
	events := chromedp.Events(ctx, of)
	go func() {
		for e, err := range events {
			if err != nil {
				return // the browser is gone
			}
			do(e)
		}
	}()
}
