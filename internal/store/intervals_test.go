package store

import (
	"strconv"
	"testing"
	"time"
)

func TestIntervals(t *testing.T) {
	var v Intervals
	now := time.Now()
	if !v.Over("a", now, time.Minute) {
		t.Fatal("over before the first grant: false")
	}
	v.Granted("a", now, time.Minute)
	for _, tt := range []struct {
		key  string
		at   time.Time
		want bool
	}{
		{"a", now, false},
		{"a", now.Add(time.Minute - 1), false},
		{"a", now.Add(time.Minute), true},
		{"a", now.Round(0), true},
		{"b", now, true},
	} {
		if got := v.Over(tt.key, tt.at, time.Minute); got != tt.want {
			t.Errorf("Over(%q, %v) = %v", tt.key, tt.at.Sub(now), got)
		}
	}
	v.Granted("a", now.Round(0), time.Minute)
	if !v.Over("a", now, time.Minute) {
		t.Error("a grant without a monotonic reading blocks")
	}
}

func TestIntervalsForgets(t *testing.T) {
	var v Intervals
	now := time.Now()
	for i := range 100_000 {
		v.Granted(strconv.Itoa(i), now.Add(time.Duration(i)*time.Second), time.Minute)
		if len(v.grants) > 2048 {
			t.Fatalf("%d grants are kept after %d, 60 of them current", len(v.grants), i)
		}
	}
	if v.Over("99999", now.Add(100_000*time.Second), time.Minute) {
		t.Error("the last grant was forgotten")
	}
}
