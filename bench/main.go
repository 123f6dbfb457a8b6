// Command bench measures what a durable order costs beside a static answer.
//
//	go run ./bench [-rounds 5] [-seconds 3] [-clients 64] [-orders 0] [-postgres] [-waiters 10000] [-svg FILE]
//
// It builds Caddy with the plugin, starts it and what it is compared with as
// processes of their own, and loads one after the other, round by round, from
// yet another process. It prints medians over the rounds: requests per second,
// latency, and processor time of all servers involved per request, each also
// as a ratio to Caddy's own respond in the same run. Everything runs on this
// machine, so the load takes its share of the processors, too. It needs Linux,
// whose /proc tells the processor time.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"
)

type options struct {
	rounds   int
	duration time.Duration
	clients  int
	orders   int
	waiters  int
	postgres bool
	svg      string
}

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "serve-bare":
			log.Fatal(serveBare(os.Args[2]))
		case "serve-orders":
			log.Fatal(serveOrders(os.Args[2], os.Args[3]))
		case "load":
			if err := load(os.Stdin, os.Stdout); err != nil {
				log.Fatal(err)
			}
			return
		}
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; medians over them are reported")
	seconds := flag.Float64("seconds", 3, "seconds that each load lasts")
	flag.IntVar(&o.clients, "clients", 64, "connections at once")
	flag.IntVar(&o.orders, "orders", 0, "paid orders of a second SQLite store that is measured beside the empty one; 0: none")
	flag.IntVar(&o.waiters, "waiters", 10_000, "buyers that wait idly for their order; 0: none")
	flag.BoolVar(&o.postgres, "postgres", false, "measure PostgreSQL, too, started from the system's own binaries")
	flag.StringVar(&o.svg, "svg", "", "`file` to draw the chart into")
	flag.Parse()
	o.duration = time.Duration(*seconds * float64(time.Second))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		log.Fatal("bench: ", err)
	}
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "checkout-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = o.clients // orders to be paid are made by as many
	syncs, err := syncsPerSecond(dir)
	if err != nil {
		return err
	}
	w, err := start(ctx, dir, o)
	defer w.stop()
	if err != nil {
		return err
	}

	loads := w.loads(o)
	for round := range o.rounds {
		for _, l := range loads {
			if err := w.measure(ctx, l, o); err != nil {
				return fmt.Errorf("%s, round %d: %w", l.name, round+1, err)
			}
		}
	}
	report(os.Stdout, loads, o)
	if err := w.reportServers(os.Stdout, o); err != nil {
		return err
	}
	fmt.Printf("- The disk takes %.0f synced writes of 64 KiB a second, one after the other\n", syncs)
	if err := w.reportTargets(os.Stdout, loads, o); err != nil {
		return err
	}
	if o.waiters > 0 {
		if err := w.measureWaiters(os.Stdout, o.waiters); err != nil {
			return fmt.Errorf("waiters: %w", err)
		}
	}
	if o.svg != "" {
		return os.WriteFile(o.svg, chart(loads), 0o644)
	}
	return nil
}
