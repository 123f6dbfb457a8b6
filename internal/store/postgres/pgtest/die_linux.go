package pgtest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// dieWithParent has the kernel end cmd when this process is killed. That hangs
// on the thread that starts cmd, so the caller keeps the thread until unlock.
func dieWithParent(cmd *exec.Cmd) (unlock func()) {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
