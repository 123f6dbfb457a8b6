package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cpu is the processor time that a process has used.
func cpu(pid int) (time.Duration, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, errors.New("reading /proc stat")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// cpuOfPostgres sums up the processes of the database that this process has
// started.
func cpuOfPostgres() (sum time.Duration) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		comm, err := os.ReadFile(d + "/comm")
		if err != nil || strings.TrimSpace(string(comm)) != "postgres" {
			continue
		}
		if p := parent(pid); p != os.Getpid() && parent(p) != os.Getpid() {
			continue // another database's
		}
		if used, err := cpu(pid); err == nil {
			sum += used
		}
	}
	return sum
}

// parent is the process that has started pid, 0 if that is not known.
func parent(pid int) int {
	n, err := statusField(pid, "PPid:")
	if err != nil {
		return 0
	}
	return n
}

// residentKB is the resident memory of a process.
func residentKB(pid int) (int, error) { return statusField(pid, "VmRSS:") }

// statusField reads a number from the kernel's account of a process.
func statusField(pid int, name string) (int, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, fmt.Errorf("no %s of process %d", name, pid)
}

// syncsPerSecond is how often a second the disk takes a write that is to stay.
func syncsPerSecond(dir string) (float64, error) {
	f, err := os.Create(filepath.Join(dir, "syncs"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 64<<10)
	n := 0
	began := time.Now()
	for time.Since(began) < time.Second {
		if _, err := f.WriteAt(block, int64(n%64)*int64(len(block))); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
