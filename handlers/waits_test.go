package handlers

import (
	"sync"
	"testing"
)

func TestWaits(t *testing.T) {
	w := NewWaits(2, 3)
	want := func(client string, ok bool) {
		t.Helper()
		if got := w.acquire(client); got != ok {
			t.Fatalf("%s: %v, want %v", client, got, ok)
		}
	}
	want("a", true)
	want("a", true)
	want("a", false)
	want("b", true)
	want("b", false)
	w.release("a")
	want("b", true)
	want("a", false)
	w.release("b")
	w.release("b")
	w.release("a")
	if w.all != 0 || len(w.byClient) != 0 {
		t.Errorf("left: %d, %v", w.all, w.byClient)
	}
	var none *Waits
	if !none.acquire("a") {
		t.Error("nil Waits refuses")
	}
	none.release("a")
	free := NewWaits(0, 0)
	for range 1000 {
		if !free.acquire("a") {
			t.Fatal("no limits refuse")
		}
	}
}

func TestWaitsConcurrently(t *testing.T) {
	w := NewWaits(5, 8)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			client := string(rune('a' + i%4))
			for range 200 {
				if w.acquire(client) {
					w.release(client)
				}
			}
		})
	}
	wg.Wait()
	if w.all != 0 || len(w.byClient) != 0 {
		t.Errorf("left: %d, %v", w.all, w.byClient)
	}
}
