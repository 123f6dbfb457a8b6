//go:build !linux

package pgtest

import "os/exec"

// dieWithParent does nothing: only Linux can end a child with its parent.
func dieWithParent(*exec.Cmd) (unlock func()) { return func() {} }
