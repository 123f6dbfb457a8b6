package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// order tells the load process what to do.
type order struct {
	Addr     string
	Clients  int
	Duration time.Duration
	Status   string   // that every answer must have, like "200"
	Requests [][]byte // sent in turn
	Once     bool     // each request is sent once, and the load ends with the last
}

// result is what the load process saw.
type result struct {
	Requests int
	Took     time.Duration
	P50, P99 time.Duration
}

// load sends requests over connections that are kept, and reads no more of the
// answers than it must, so that it takes as little of the processors as it can.
func load(in io.Reader, out io.Writer) error {
	var o order
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return err
	}
	var next atomic.Int64
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var wg sync.WaitGroup
	start := time.Now()
	end := start.Add(o.Duration)
	for range o.Clients {
		wg.Go(func() {
			took, err := client(o, &next, end)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	r := result{Requests: len(all), Took: time.Since(start)}
	if failed != nil {
		return failed
	}
	slices.Sort(all)
	if n := len(all); n > 0 {
		r.P50, r.P99 = all[n/2], all[n*99/100]
	}
	return json.NewEncoder(out).Encode(r)
}

func client(o order, next *atomic.Int64, end time.Time) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", o.Addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReaderSize(conn, 32<<10)
	var took []time.Duration
	for {
		i := int(next.Add(1)) - 1
		if o.Once && i >= len(o.Requests) {
			return took, nil
		}
		began := time.Now()
		if began.After(end) {
			return took, nil
		}
		if _, err := conn.Write(o.Requests[i%len(o.Requests)]); err != nil {
			return took, err
		}
		status, err := skipAnswer(r)
		if err != nil {
			return took, err
		}
		if status != o.Status {
			return took, fmt.Errorf("answered %s, not %s", status, o.Status)
		}
		took = append(took, time.Since(began))
	}
}

// skipAnswer reads one answer, which must say its length.
func skipAnswer(r *bufio.Reader) (status string, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	if len(line) < 12 {
		return "", fmt.Errorf("answered %q", line)
	}
	status = string(line[9:12])
	length := -1
	for {
		line, err = r.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(": ")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return "", err
			}
		}
	}
	if length < 0 {
		return "", fmt.Errorf("answer %s without a length", status)
	}
	_, err = r.Discard(length)
	return status, err
}

// post makes a form POST as a program sends it.
func post(host, path, body string) []byte {
	return []byte("POST " + path + " HTTP/1.1\r\nHost: " + host + "\r\nAccept: application/json\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

func get(host, path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
}
